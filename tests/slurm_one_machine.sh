#!/usr/bin/env bash
# A real one-machine SLURM for tests: slurm_one_machine.sh FOLDER start|stop
# Two nodes on this host, fake GPUs on the first, no accounting database, no systemd. Needs root and
#   apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
# The configuration lies in /etc/slurm: with SLURM_CONF alone, srun inside jobs does not find it.
set -euo pipefail

folder=$(mkdir -p "${1:?folder}" && readlink -f "$1")
action=${2:-start}
host=$(hostname -s)
daemons=(slurmd-n1 slurmd-n2 slurmctld munged)

stop() {
  for daemon in "${daemons[@]}"; do
    if [ -f "$folder/run/$daemon.pid" ]; then
      kill "$(cat "$folder/run/$daemon.pid")" 2>/dev/null || true
    fi
  done
  if grep -qs "# emotalk test cluster" /etc/slurm/slurm.conf; then
    rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
  fi
}

write_config() {
  if [ -e /etc/slurm/slurm.conf ] && ! grep -q "# emotalk test cluster" /etc/slurm/slurm.conf; then
    echo "/etc/slurm/slurm.conf belongs to a real cluster: not touched" >&2
    exit 3
  fi
  mkdir -p /etc/slurm "$folder"/{dev,etc,log,run,state,spool-n1,spool-n2}
  touch "$folder/dev/gpu0" "$folder/dev/gpu1"
  cat > /etc/slurm/slurm.conf <<CONF
# emotalk test cluster
ClusterName=emotalk
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,sched_interval=1,sched_min_interval=100000
SlurmctldTimeout=60
SlurmdTimeout=60
InactiveLimit=0
MinJobAge=300
KillWait=3
JobRequeue=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=4 RealMemory=8000 Gres=gpu:fake:2 Weight=10 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=cpu Nodes=n2,n1 Default=YES MaxTime=08:00:00 State=UP
PartitionName=gpu Nodes=n1 MaxTime=08:00:00 State=UP
CONF
  echo "NodeName=n1 Name=gpu Type=fake File=$folder/dev/gpu[0-1]" > /etc/slurm/gres.conf
}

start_munge() {
  (umask 077 && head -c 1024 /dev/urandom > "$folder/etc/munge.key")
  chown munge:munge "$folder/etc/munge.key" "$folder/run"
  chmod 711 "$folder" "$folder/etc" "$folder/run"
  su -s /bin/sh munge -c "/usr/sbin/munged --force -S '$folder/run/munge.sock' \
    --key-file='$folder/etc/munge.key' --pid-file='$folder/run/munged.pid' \
    --log-file='$folder/run/munged.log' --seed-file='$folder/run/munged.seed'"
}

if [ "$action" = stop ]; then
  stop
  exit 0
fi
write_config
start_munge
/usr/sbin/slurmctld
/usr/sbin/slurmd -N n1
/usr/sbin/slurmd -N n2
for _ in $(seq 60); do
  [ "$(sinfo -h -N -o %T | sort -u)" = idle ] && break
  sleep 0.5
done
sinfo -N -o '%N %P %T %c %m %G'
