# Smallest Rails application that mounts Doorkeeper (+ OpenID Connect) at /oauth2.
ENV['RAILS_ENV'] ||= 'production'
require 'logger'; require 'rails'; require 'action_controller/railtie'; require 'active_record/railtie'
require 'doorkeeper'; require 'doorkeeper/openid_connect'; require 'doorkeeper/orm/active_record'
DIR = ENV.fetch('DOORKEEPER_DIR')
class App < Rails::Application
  config.root = DIR; config.eager_load = false; config.secret_key_base = 'x' * 32; config.hosts.clear
  config.logger = Logger.new("#{DIR}/rails.log"); config.api_only = true; config.consider_all_requests_local = false
end
ENV['DATABASE_URL'] = "sqlite3:#{DIR}/doorkeeper.db"
class ApplicationController < ActionController::Base; end
class User < ActiveRecord::Base; end
Doorkeeper.configure do
  orm :active_record
  api_only
  base_controller 'ActionController::API'
  resource_owner_authenticator { nil }
  resource_owner_from_credentials { |_| u = User.find_by(name: params[:username]); u if u && u.password == params[:password] }
  grant_flows %w[password client_credentials authorization_code]
  use_refresh_token
  default_scopes :basic
  optional_scopes :openid
  allow_token_introspection { true }
end
Doorkeeper::OpenidConnect.configure do
  issuer ENV.fetch('DOORKEEPER_URL')
  signing_key File.read("#{DIR}/key.pem")
  subject_types_supported [:public]
  resource_owner_from_access_token { |t| User.find_by(id: t.resource_owner_id) }
  auth_time_from_resource_owner { |_| Time.now }
  subject { |u, _| u.name }
end
App.initialize!
App.routes.draw { use_doorkeeper(scope: 'oauth2'); use_doorkeeper_openid_connect(scope: 'oauth2') }
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:users, force: true) { |t| t.string :name, :password }
  create_table :oauth_applications, force: true do |t|
    t.string :name, :uid, :secret, null: false; t.text :redirect_uri; t.string :scopes, default: '', null: false
    t.boolean :confidential, default: true, null: false; t.timestamps
  end
  create_table :oauth_access_grants, force: true do |t|
    t.integer :resource_owner_id, :application_id, :expires_in; t.string :token; t.text :redirect_uri; t.string :scopes; t.datetime :created_at, :revoked_at
  end
  create_table :oauth_access_tokens, force: true do |t|
    t.integer :resource_owner_id, :application_id, :expires_in; t.string :token, :refresh_token, :scopes
    t.string :previous_refresh_token, default: ''; t.datetime :created_at, :revoked_at
  end
end
User.create!(name: 'alice', password: 'passw0rd'); User.create!(name: 'bob', password: 'hunter22')
Doorkeeper::Application.create!(name: 'test', uid: 'testclient', secret: 'testpass', redirect_uri: 'https://localhost/cb', scopes: 'openid basic')
run App
