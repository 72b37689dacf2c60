#!/bin/bash
# appctl.sh {start|stop|online|offline|restart}: one host of an application behind
# a load balancer that checks /nginx-status.html every two seconds.

PROG_NAME=$0
ACTION=$1
ONLINE_OFFLINE_WAIT_TIME=8     # seconds until the load balancer has noticed
APP_START_TIMEOUT=50           # seconds until the application has to answer
APP_PORT=9001
HEALTH_CHECK_URL="http://127.0.0.1:${APP_PORT}/"
TOMCAT_HOME=/usr/java/tomcat
STATUS_DIR=${TOMCAT_HOME}/status
STATUS_FILE="$STATUS_DIR/nginx-status.html"
PID_FILE=$TOMCAT_HOME/tomcat.pid

mkdir -p "$STATUS_DIR"

usage() {
    echo "Usage: $PROG_NAME {start|stop|online|offline|restart}"
    exit 2
}

online() {
    # into the load balancer again
    touch -m "$STATUS_FILE"
    echo "wait ${ONLINE_OFFLINE_WAIT_TIME} seconds until $STATUS_FILE is seen"
    sleep ${ONLINE_OFFLINE_WAIT_TIME}
}

offline() {
    rm -f "$STATUS_FILE"
    echo "wait ${ONLINE_OFFLINE_WAIT_TIME} seconds until $STATUS_FILE is missed"
    sleep ${ONLINE_OFFLINE_WAIT_TIME}
}

health_check() {
    exptime=0
    while true; do
        status_code=`/usr/bin/curl -L -o /dev/null --connect-timeout 5 -s -w %{http_code} ${HEALTH_CHECK_URL}`
        if [ "$status_code" == "200" ]; then
            break
        fi
        sleep 1
        exptime=$((exptime + 1))
        if [ $exptime -gt ${APP_START_TIMEOUT} ]; then
            echo "the application did not start within ${APP_START_TIMEOUT} seconds"
            exit 1
        fi
    done
    echo "check of ${HEALTH_CHECK_URL} passed"
}

start_application() {
    export CATALINA_PID=$PID_FILE
    "$TOMCAT_HOME/bin/startup.sh"
}

stop_application() {
    if [ ! -f "$PID_FILE" ]; then
        echo "no pid file, nothing runs"
        return
    fi
    kill -9 $(cat "$PID_FILE")
    rm -f "$PID_FILE"
}

start() {
    start_application
    health_check
    online
}

stop() {
    offline
    stop_application
}

case "$ACTION" in
    start)
        start
        ;;
    stop)
        stop
        ;;
    online)
        online
        ;;
    offline)
        offline
        ;;
    restart)
        stop
        start
        ;;
    *)
        usage
        ;;
esac
