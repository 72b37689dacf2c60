#!/bin/bash
# The script that teams release with: start | stop | online | offline | restart.
# Its waits are fixed: the load balancer asks for the status file every 2 s and
# believes what it saw twice.
PROG_NAME=$0
ACTION=$1
APP_HOME=$(cd "$(dirname "$0")/.." && pwd)
ONLINE_OFFLINE_WAIT_TIME=8      # until the load balancer has noticed
APP_START_TIMEOUT=50            # until the application has to answer
APP_PORT=9001
HEALTH_CHECK_URL=http://127.0.0.1:${APP_PORT}/healthz
HEALTH_CHECK_FILE_DIR=$(cd "${APP_HOME}/.." && pwd)/status
PID_FILE=${APP_HOME}/app.pid
APP_OUT=${APP_HOME}/logs/start.log

usage() {
    echo "Usage: $PROG_NAME {start|stop|online|offline|restart}"
    exit 2
}

health_check() {
    exptime=0
    echo "checking ${HEALTH_CHECK_URL}"
    while true; do
        status_code=$(curl -L -o /dev/null --connect-timeout 5 -s -w '%{http_code}' "${HEALTH_CHECK_URL}")
        if [ "x$status_code" != x200 ]; then
            sleep 1
            ((exptime++))
            echo "Wait app to pass health check: $exptime..."
        else
            break
        fi
        if [ $exptime -gt ${APP_START_TIMEOUT} ]; then
            echo 'app start failed'
            exit 1
        fi
    done
    echo "check ${HEALTH_CHECK_URL} success"
}

online() {
    mkdir -p "$HEALTH_CHECK_FILE_DIR"
    touch -m "$HEALTH_CHECK_FILE_DIR/nginx-status.html" || exit 1
    echo "wait app online in ${ONLINE_OFFLINE_WAIT_TIME} seconds..."
    sleep ${ONLINE_OFFLINE_WAIT_TIME}
}

offline() {
    rm -f "$HEALTH_CHECK_FILE_DIR/nginx-status.html" || exit 1
    echo "wait app offline in ${ONLINE_OFFLINE_WAIT_TIME} seconds..."
    sleep ${ONLINE_OFFLINE_WAIT_TIME}
}

start_application() {
    echo "starting the application"
    cd "${APP_HOME}/release" || exit 1
    PORT=${APP_PORT} nohup "${APP_HOME}/bin/app" >>"${APP_OUT}" 2>&1 </dev/null &
    echo $! >"${PID_FILE}"
}

stop_application() {
    [ -f "${PID_FILE}" ] || { echo "no process"; return; }
    pid=$(cat "${PID_FILE}")
    for _ in $(seq 60); do
        kill -9 "$pid" 2>/dev/null || { echo "the process has exited"; break; }
        sleep 0.1
    done
    rm -f "${PID_FILE}"
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
    start) start ;;
    stop) stop ;;
    online) online ;;
    offline) offline ;;
    restart) stop; start ;;
    *) usage ;;
esac
