# The portal of LemonLDAP::NG as an OpenID provider: people in SQLite, the configuration held in memory.
use strict;
use warnings;
use Lemonldap::NG::Portal::Main;

# The stock captcha is loaded whether it is used or not, and needs ImageMagick.
{
    package Lemonldap::NG::Portal::Captcha::None;
    use Mouse;
    extends 'Lemonldap::NG::Portal::Main::Plugin';
    $INC{'Lemonldap/NG/Portal/Captcha/None.pm'} = __FILE__;
    sub init { 1 }
}

my ($dir, $url) = @ENV{qw(LLNG_DIR LLNG_URL)};
my $slurp = sub { local (@ARGV, $/) = ("$dir/$_[0]"); <> };
my $log = 'Lemonldap::NG::Common::Logger::Std';

Lemonldap::NG::Portal::Main->run({
    configStorage => { type => 'File', dirName => "$dir/conf" },
    logLevel => 'warn', log4perl => 0, logger => $log, userLogger => $log,
    templateDir => '/usr/share/lemonldap-ng/portal/templates', staticPrefix => '/static',
    captcha => '::Captcha::None',
    domain => '127.0.0.1', portal => "$url/", issuerDBOpenIDConnectPath => '^/oauth2/',
    globalStorage => 'Apache::Session::File',
    globalStorageOptions => {
        Directory => "$dir/sessions", LockDirectory => "$dir/locks",
        generateModule => 'Lemonldap::NG::Common::Apache::Session::Generate::SHA256',
    },
    authentication => 'DBI', userDB => 'Same', passwordDB => 'Null', registerDB => 'Null',
    dbiAuthChain => "dbi:SQLite:dbname=$dir/users.db", dbiAuthUser => '', dbiAuthPassword => '',
    dbiAuthTable => 'users', dbiAuthLoginCol => 'uid', dbiAuthPasswordCol => 'pw', dbiAuthPasswordHash => '',
    dbiUserTable => 'users', dbiExportedVars => {}, exportedVars => { uid => 'uid', mail => 'mail' },
    issuerDBOpenIDConnectActivation => 1,
    oidcServiceMetaDataIssuer => $url, oidcServiceKeyIdSig => 'k1',
    oidcServicePrivateKeySig => $slurp->('key.pem'), oidcServicePublicKeySig => $slurp->('pub.pem'),
    oidcRPMetaDataExportedVars => { rp => { email => 'mail', name => 'uid' } },
    oidcRPMetaDataOptions => { rp => {
        oidcRPMetaDataOptionsClientID => 'testclient', oidcRPMetaDataOptionsClientSecret => 'testpass',
        oidcRPMetaDataOptionsAllowPasswordGrant => 1, oidcRPMetaDataOptionsAllowClientCredentialsGrant => 1,
        oidcRPMetaDataOptionsAllowOffline => 1, oidcRPMetaDataOptionsRefreshToken => 1,
        oidcRPMetaDataOptionsIDTokenSignAlg => 'RS256', oidcRPMetaDataOptionsUserIDAttr => 'uid',
    } },
});
