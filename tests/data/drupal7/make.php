<?php
// Makes site.sql and the key beside it, as Drupal 7 with tfa and tfa_basic would have them: encrypt() and
// encryptWithMCrypt() of tfa.inc, storeSeed() of tfa_totp.inc, storeCodes() of tfa_recovery.inc. mcrypt itself is gone;
// its rijndael-128 with a key of 32 bytes is AES-256, filled up with zeros.
//
//     php tests/data/drupal7/make.php
$key = 'k3yUxW0mT8v-Zq1sR5eN7bJ4cL9dF2hG6aP0oIiYtQw';
file_put_contents(__DIR__ . '/site.key', "$key\n");
$counter = 0;
function iv() { global $counter; return substr(hash('sha256', 'iv' . $counter++, true), 0, 16); }
function by_openssl($text) {
  global $key;
  $iv = iv();
  return base64_encode(json_encode(['version' => '1', 'iv_base64' => base64_encode($iv),
    'ciphertext_base64' => base64_encode(openssl_encrypt($text, 'AES-256-CBC', $key, OPENSSL_RAW_DATA, $iv))]));
}
function by_mcrypt($text, $cipher = 'AES-256-CBC', $bytes = 32) {
  global $key;
  $iv = iv();
  $text = strlen($text) . '|' . $text;
  $text = str_pad($text, (int) ceil(strlen($text) / 16) * 16, "\0");
  return base64_encode($iv . openssl_encrypt($text, $cipher, substr($key, 0, $bytes),
    OPENSSL_RAW_DATA | OPENSSL_ZERO_PADDING, $iv));
}
$rows = fn($rows) => implode(',', array_map(fn($r) => '(' . implode(',', array_map(
  fn($v) => is_int($v) ? $v : "'" . addcslashes($v, "'\\") . "'", $r)) . ')', $rows));
$accepted = $rows([[2, sha1('a'), 1700000000], [2, sha1('b'), 1700000100], [3, sha1('c'), 1690000000]]);
$codes = $rows([[1, 2, by_openssl('123 45 678'), 0, 1690000000], [2, 2, by_openssl('234 56 789'), 1695000000, 1690000000],
  [3, 3, by_mcrypt('345 67 890'), 0, 1600000000]]);
$seeds = $rows([[2, by_openssl('GEZDGNBVGY3TQOJQGEZDGNBV'), 1690000000], [3, by_mcrypt('JBSWY3DPEHPK3PXPJBSWY3DP'), 1600000000],
  [4, by_mcrypt('MFRGGZDFMZTWQ2LKNNWG23TP', 'AES-128-CBC', 16), 1600000001], [5, base64_encode('nonsense that is no seed at all'), 1600000002],
  [99, by_openssl('GEZDGNBVGY3TQOJQGEZDGNBV'), 1600000003]]);
file_put_contents(__DIR__ . '/site.sql', <<<SQL
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
INSERT INTO `cache` VALUES ('a;b\\'); INSERT INTO `users` VALUES (2,\\'mallory\\');',_binary 'x\\0y''z'),('c',NULL);
UNLOCK TABLES;
CREATE TABLE `tfa_accepted_code` (
  `uid` int(10) unsigned NOT NULL,
  `code_hash` varchar(255) NOT NULL,
  `time_accepted` int(11) NOT NULL DEFAULT '0',
  KEY `uid` (`uid`)
) ENGINE=InnoDB;
INSERT INTO `tfa_accepted_code` VALUES $accepted;
CREATE TABLE `tfa_recovery_code` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `uid` int(10) unsigned NOT NULL,
  `code` varchar(255) NOT NULL,
  `used` int(11) NOT NULL DEFAULT '0',
  `created` int(11) NOT NULL DEFAULT '0',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;
INSERT INTO `tfa_recovery_code` VALUES $codes;
CREATE TABLE `tfa_totp_seed` (
  `uid` int(10) unsigned NOT NULL,
  `seed` varchar(255) NOT NULL,
  `created` int(11) NOT NULL DEFAULT '0',
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB;
INSERT INTO `tfa_totp_seed` VALUES $seeds;
CREATE TABLE `users` (
  `uid` int(10) unsigned NOT NULL DEFAULT '0',
  `name` varchar(60) NOT NULL DEFAULT '',
  `pass` varchar(128) NOT NULL DEFAULT '',
  `mail` varchar(254) DEFAULT '',
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB;
INSERT INTO `users` VALUES (0,'','',''),(1,'admin','x','a@example.org'),(2,'alice','\$S\$D','alice@example.org'),(3,'Bob O\\'Neill','\$S\$D',NULL),(4,'carol','','c'),(5,'dave','','d');

SQL);
