#!/bin/sh
# Installs what tests need and only root can install, where it is missing: RabbitMQ for the queue's;
# Node, npm and Chromium for those that read with Ably's SDKs. They are Debian's packages.
set -eu

missing=
need() { # PACKAGE PROGRAM…: any of the programs will do, wherever it is from
	package=$1
	shift
	for program; do
		if command -v "$program" >/dev/null; then
			echo "setup: $program is installed"
			return
		fi
	done
	missing="$missing $package"
}

if [ -n "${AMQP_URL:-}" ]; then
	echo 'setup: the queue is tested against AMQP_URL'
elif [ -d /usr/lib/rabbitmq/lib ]; then
	echo 'setup: RabbitMQ is installed'
else
	missing="$missing rabbitmq-server"
fi
need nodejs node
need npm npm
# Ubuntu's is a snap, which a container cannot run: there, Google Chrome.
need chromium "${CHROMIUM:-chromium}" chromium-browser google-chrome google-chrome-stable

if [ -z "$missing" ]; then
	exit 0
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "setup: apt-get install$missing"
	apt-get update -qq
	# RabbitMQ's tests start brokers of their own: RUNLEVEL=1 keeps the package from starting one.
	# shellcheck disable=SC2086 # one word each
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
	echo "setup: install$missing (as root on Debian: make setup)." \
		'Instead, AMQP_URL may name a broker, and CHROMIUM a browser' >&2
	exit 1
fi
