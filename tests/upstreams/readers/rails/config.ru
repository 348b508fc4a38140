# Reads whatever comes as Rails does: its router, its method override, and each of the parameters of the
# query, of the body (form, multipart and the JSON types), of both as Rails merges them and as Rack does.
# Appends what it understood to READER_DIR/readings.jsonl and gives a token for every password grant among it.
require 'json'
require 'securerandom'
require 'action_controller'
require 'action_dispatch'

# The first text in a value: some take `username[]` for `username`.
def text(value)
  value = value.is_a?(Hash) ? value.values.first : value.first while value.is_a?(Hash) || value.is_a?(Array)
  value&.to_s
end

# What one way of reading gives; an unreadable request gives nothing.
def reading
  parameters = yield
  parameters = parameters.to_unsafe_h if parameters.respond_to?(:to_unsafe_h)
  grant_type, username = text(parameters['grant_type']), text(parameters['username'])
  return unless grant_type.to_s.strip.casecmp?('password') && username

  { endpoint: true, grant_type: grant_type, username: username, password: text(parameters['password']) }
rescue StandardError
  nil
end

def readings(env)
  request = ActionDispatch::Request.new(env)
  rack = Rack::Request.new(env)
  body = -> { env['rack.input'].rewind; env['rack.input'].read.force_encoding('UTF-8').delete_prefix("\uFEFF") }
  [
    reading { request.params },
    reading { request.request_parameters },
    reading { request.query_parameters },
    reading { rack.params },
    reading { rack.POST },
    reading { ActiveSupport::JSON.decode(body.call) },
    # What is declared JSON is nobody's form.
    reading { Rack::Utils.parse_nested_query(env['CONTENT_TYPE'].to_s =~ /json/i ? '' : body.call, '&;') },
    reading { Rack::Utils.parse_nested_query(env['QUERY_STRING'].to_s, '&;') }
  ].compact.uniq
end

def clean(value)
  value.is_a?(String) ? value.dup.force_encoding('UTF-8').scrub : value
end

RECORD = File.open("#{ENV.fetch('READER_DIR')}/readings.jsonl", 'a')

def answer(env, understood)
  understood = understood.map { |reading| reading.transform_values { |value| clean(value) } }
  line = { host: clean(env['HTTP_HOST']), method: clean(env['reader.method']),
           target: clean(env['REQUEST_URI'] || env['PATH_INFO']), understood: understood }
  RECORD.syswrite("#{JSON.generate(line)}\n")
  status, body = understood.empty? ? [404, { error: 'not_found' }] : [200, { access_token: SecureRandom.hex, token_type: 'Bearer' }]
  # Puma leaves a malformed request unanswered when it comes on a kept connection.
  [status, { 'Content-Type' => 'application/json', 'Connection' => 'close' }, [JSON.generate(body)]]
end

endpoint = ->(env) { answer(env, readings(env)) }
ROUTES = ActionDispatch::Routing::RouteSet.new
ROUTES.draw do
  match '/oauth2/token(.:format)', to: endpoint, via: :all
  match '/oauth2/token/*rest', to: endpoint, via: :all
  match '/*mount/oauth2/token(.:format)', to: endpoint, via: :all
end

use Rack::MethodOverride
run(lambda do |env|
  # Servers in front of Rails decode, fold case, undo `..` and cut path parameters off.
  path = Rack::Utils.unescape_path(env['PATH_INFO'].sub(%r{\Ahttps?://[^/]*}i, '')).scrub('')
  env['PATH_INFO'] = Rack::Utils.clean_path_info(path.delete("\0").downcase.gsub(%r{;[^/]*}, '').tr('\\', '/'))
  # A method that Rails has never heard of still has parameters.
  env['reader.method'] = env['REQUEST_METHOD']
  env['REQUEST_METHOD'] = 'POST' unless ActionDispatch::Request::HTTP_METHODS.include?(env['REQUEST_METHOD'])
  response = ROUTES.call(env)
  response[0] == 404 && response[1]['X-Cascade'] == 'pass' ? answer(env, []) : response
rescue StandardError => e
  warn "#{e.class}: #{e.message}"
  answer(env, [])
end)
