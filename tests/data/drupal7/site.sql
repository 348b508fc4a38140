-- MySQL dump 10.13  Distrib 5.7.44, for Linux (x86_64)
--
-- Host: localhost    Database: drupal
/*!40101 SET NAMES utf8 */;
DROP TABLE IF EXISTS `cache`;
CREATE TABLE `cache` (
  `cid` varchar(255) NOT NULL DEFAULT '' COMMENT 'Primary Key: it''s a (unique); ID.',
  `data` longblob
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
LOCK TABLES `cache` WRITE;
INSERT INTO `cache` VALUES ('a;b\'); INSERT INTO `users` VALUES (2,\'mallory\');',_binary 'x\0y''z'),('c',NULL);
UNLOCK TABLES;
CREATE TABLE `tfa_accepted_code` (
  `uid` int(10) unsigned NOT NULL,
  `code_hash` varchar(255) NOT NULL,
  `time_accepted` int(11) NOT NULL DEFAULT '0',
  KEY `uid` (`uid`)
) ENGINE=InnoDB;
INSERT INTO `tfa_accepted_code` VALUES (2,'86f7e437faa5a7fce15d1ddcb9eaeaea377667b8',1700000000),(2,'e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98',1700000100),(3,'84a516841ba77a5b4648de2cd0dfcb30ea46dbb4',1690000000);
CREATE TABLE `tfa_recovery_code` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `uid` int(10) unsigned NOT NULL,
  `code` varchar(255) NOT NULL,
  `used` int(11) NOT NULL DEFAULT '0',
  `created` int(11) NOT NULL DEFAULT '0',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;
INSERT INTO `tfa_recovery_code` VALUES (1,2,'eyJ2ZXJzaW9uIjoiMSIsIml2X2Jhc2U2NCI6Ik5uRUdaTllia3BYbFFsXC93RFdYNytnPT0iLCJjaXBoZXJ0ZXh0X2Jhc2U2NCI6ImRwV0ZPUTJRKzllbWxMSmZMbWdxUUE9PSJ9',0,1690000000),(2,2,'eyJ2ZXJzaW9uIjoiMSIsIml2X2Jhc2U2NCI6IjFYbnhaZGJqWnByTkRnZGN3dVIrM3c9PSIsImNpcGhlcnRleHRfYmFzZTY0IjoiMFc1dm9vaDR4Qyt3NVZQQzYzNnhLdz09In0=',1695000000,1690000000),(3,3,'wThnW9N8fkkxgmSr82N5QmMT9RISpP6KHyE0/TaGH8Q=',0,1600000000);
CREATE TABLE `tfa_totp_seed` (
  `uid` int(10) unsigned NOT NULL,
  `seed` varchar(255) NOT NULL,
  `created` int(11) NOT NULL DEFAULT '0',
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB;
INSERT INTO `tfa_totp_seed` VALUES (2,'eyJ2ZXJzaW9uIjoiMSIsIml2X2Jhc2U2NCI6IjdVTkVjKzBzU3k4NzVYK3hIU2FtM3c9PSIsImNpcGhlcnRleHRfYmFzZTY0IjoiSWwrcmppU1VlSVMwTVYzWmZCUUlDcUhkXC9BN0poU1wvS2xNVFwvcEV6cVpPWT0ifQ==',1690000000),(3,'nPUo063R1+blwR7quYzV98Wac8oRU4ZGHuH0jm1XPMGeBCM86pFJM6IAWzM4gAOi',1600000000),(4,'jh5JzDOO8Clx2m322gNLyQ74LXUe7dfQg7RKaj1J7huzX4I7MAxZUYh4KP4SYUed',1600000001),(5,'bm9uc2Vuc2UgdGhhdCBpcyBubyBzZWVkIGF0IGFsbA==',1600000002),(99,'eyJ2ZXJzaW9uIjoiMSIsIml2X2Jhc2U2NCI6ImF2TFdaRlJmVmptQ3E0cG9pQk42XC93PT0iLCJjaXBoZXJ0ZXh0X2Jhc2U2NCI6Im8zME1YUG1aNlpFUE5nQnJndFZBV0FjOFRzMEJDS1BYSGpsM05GU0RrS3M9In0=',1600000003);
CREATE TABLE `users` (
  `uid` int(10) unsigned NOT NULL DEFAULT '0',
  `name` varchar(60) NOT NULL DEFAULT '',
  `pass` varchar(128) NOT NULL DEFAULT '',
  `mail` varchar(254) DEFAULT '',
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB;
INSERT INTO `users` VALUES (0,'','',''),(1,'admin','x','a@example.org'),(2,'alice','$S$D','alice@example.org'),(3,'Bob O\'Neill','$S$D',NULL),(4,'carol','','c'),(5,'dave','','d');
