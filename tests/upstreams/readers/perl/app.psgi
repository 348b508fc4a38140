# Reads whatever comes as Perl's frameworks do: Plack's parameters (`;` separates, the last duplicate
# wins), those of CGI.pm (%uXXXX is a character, the first duplicate wins), and the body taken for JSON.
# Appends what it understood to READER_DIR/readings.jsonl and gives a token for every password grant
# among it.
use strict;
use warnings;
use CGI::Util ();
use Encode ();
use Fcntl qw(O_APPEND O_CREAT O_WRONLY);
use JSON ();
use Plack::Request;

my $json = JSON->new->utf8->canonical;

# What a router leaves of a path.
sub is_endpoint {
    my $path = lc shift;
    $path =~ s/\0.*//s;
    $path =~ tr{\\}{/};
    $path =~ s{^https?://[^/]*}{};
    $path =~ s{;[^/]*}{}g;
    my @kept;
    for my $segment (split m{/}, $path) {
        $segment =~ s/^\s+|\s+$//g;
        if ($segment eq '..') { pop @kept }
        elsif ($segment ne '' && $segment ne '.') { push @kept, $segment =~ s/\..*//r }
    }
    # An application may be mounted anywhere.
    return index('/' . join('/', @kept) . '/', '/oauth2/token/') >= 0;
}

# The last or the first text in a value.
sub text {
    my $value = shift;
    while (ref $value eq 'ARRAY' || ref $value eq 'HASH') {
        $value = ref $value eq 'ARRAY' ? $value->[-1] : (sort values %$value)[0];
    }
    return defined $value ? "$value" : undef;
}

# Names and values of an encoded form as CGI.pm splits and decodes them; the first duplicate stays.
sub cgi {
    my %parameters;
    for my $pair (split /[&;]/, shift) {
        my ($name, $value) = map { CGI::Util::unescape(tr/+/ /r) } (split(/=/, $pair, 2), '')[0, 1];
        $parameters{$name} //= $value;
    }
    return \%parameters;
}

# A hash in which `username[]` and ` username` are `username`.
sub loose {
    my %parameters = %{ +shift };
    for my $name (keys %parameters) {
        my $plain = $name =~ s/^\s+|\s+$|\[.*//grs;
        $parameters{$plain} //= $parameters{$name};
    }
    return \%parameters;
}

# JSON's text of what may be bytes or characters.
sub clean { my $v = shift; defined $v && !utf8::is_utf8($v) ? Encode::decode('UTF-8', $v) : $v }

sub readings {
    my $request = shift;
    my $body = $request->content // '';
    my @sources = (
        sub { $request->parameters }, sub { $request->body_parameters }, sub { $request->query_parameters },
        # What is declared JSON is nobody's form.
        sub { cgi(($request->content_type // '') =~ /json/i ? '' : $body) }, sub { cgi($request->env->{QUERY_STRING} // '') },
        sub { $json->decode($body =~ s/^\xEF\xBB\xBF//r) },
    );
    my @readings;
    for my $source (@sources) {
        my $parameters = eval { loose($source->()) } // next;
        my ($grant_type, $username) = map { text($parameters->{$_}) } qw(grant_type username);
        next unless defined $username && ($grant_type // '') =~ /^\s*password\s*(?:\0|$)/i;
        my $reading = { endpoint => JSON::true, grant_type => $grant_type, username => $username,
            password => text($parameters->{password}) };
        $_ = clean($_) for @$reading{qw(grant_type username password)};
        push @readings, $reading unless grep { $json->encode($_) eq $json->encode($reading) } @readings;
    }
    return @readings;
}

sub {
    my $env = shift;
    my $request = Plack::Request->new($env);
    my $query = $env->{QUERY_STRING} // '';
    my @paths = grep { defined } $env->{PATH_INFO}, CGI::Util::unescape(($env->{PATH_INFO} // '') =~ tr/+/ /r),
        cgi($query)->{q}, eval { $request->query_parameters->get('q') };
    my @readings = (grep { is_endpoint($_) } @paths) ? readings($request) : ();
    my $line = $json->encode({ host => clean($env->{HTTP_HOST}), method => clean($env->{REQUEST_METHOD}),
        target => clean($env->{REQUEST_URI}), understood => \@readings });
    # One write each: the workers share the file.
    sysopen my $record, "$ENV{READER_DIR}/readings.jsonl", O_WRONLY | O_APPEND | O_CREAT or die $!;
    syswrite $record, "$line\n";
    my $answer = @readings ? { access_token => sprintf('%032x', rand 2**52), token_type => 'Bearer' } : { error => 'not_found' };
    return [@readings ? 200 : 404, ['Content-Type' => 'application/json'], [$json->encode($answer)]];
};
