#!/usr/bin/env bash
# A Kafka of a test's own, to be killed, with a listener for each way in:
#
#   kafka.sh DIR PLAINTEXT_PORT SASL_PORT TLS_PORT CONTROLLER_PORT
#
# It is this very process; what is in DIR (certificate.pem for TLS, and what
# the last one left) is used. The jars are those that .ci/brokers fetches.
set -euo pipefail
dir=$1 plain=$2 sasl=$3 tls=$4 controller=$5
jars=$(echo "${XDG_CACHE_HOME:-$HOME/.cache}"/carillon/kafka-*/kafka_2.13-*.jar)
jars=${jars%%/kafka_2.13-*}
cat >"$dir/server.properties" <<-CONF
	process.roles=broker,controller
	node.id=1
	controller.quorum.voters=1@127.0.0.1:$controller
	controller.listener.names=CONTROLLER
	inter.broker.listener.name=PLAINTEXT
	listeners=PLAINTEXT://127.0.0.1:$plain,SASL://127.0.0.1:$sasl,TLS://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
	advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL://127.0.0.1:$sasl,TLS://127.0.0.1:$tls
	listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT
	log.dirs=$dir/data
	offsets.topic.replication.factor=1
	log.cleaner.dedupe.buffer.size=16777216
	sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
	listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_full="correct-horse" user_writer="correct-horse" user_none="correct-horse";
	listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	listener.name.tls.ssl.keystore.type=PEM
	listener.name.tls.ssl.keystore.location=$dir/certificate.pem
	authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
	super.users=User:ANONYMOUS
CONF
cat >"$dir/log4j.properties" <<-CONF
	log4j.rootLogger=WARN, out
	log4j.appender.out=org.apache.log4j.ConsoleAppender
	log4j.appender.out.layout=org.apache.log4j.PatternLayout
	log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
CONF
kafka=(java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
	-Dlog4j.configuration="file:$dir/log4j.properties" -cp "$jars/*")
if [[ ! -d $dir/data ]]; then
	"${kafka[@]}" kafka.tools.StorageTool format --config "$dir/server.properties" \
		--cluster-id Y2FyaWxsb24tdGVzdHMtMg
fi
exec "${kafka[@]}" kafka.Kafka "$dir/server.properties"
