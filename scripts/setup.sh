#!/bin/sh
# Installs RabbitMQ for the queue's tests, where it is missing: Debian's package, as root.
set -eu

if [ -n "${AMQP_URL:-}" ]; then
	echo 'setup: the queue is tested against AMQP_URL'
elif [ -d /usr/lib/rabbitmq/lib ]; then
	echo 'setup: RabbitMQ is installed'
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo 'setup: apt-get install rabbitmq-server'
	apt-get update -qq
	# Its tests start brokers of their own: RUNLEVEL=1 keeps the package from starting one.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null
else
	echo 'setup: install rabbitmq-server (as root on Debian: make setup), or set AMQP_URL' >&2
	exit 1
fi
