"""What a cluster's kubelet and Deployment controller do, for processes of this machine.

`Supervisor` brings each `Process` object to its number of OS processes and writes what it sees
to the object's status. Read on from there: `supervisor` watches and adopts, `group` looks after
one Process, `rollout` decides (pure) which instances come and go, `instance` is the life of one
instance, `os_process` holds one OS process, `status` tells (pure) what became of it all.

The processes are nobody's children: they outlive a controller that is killed, write their logs
themselves, and are found again by pid and start time. Nothing here polls a process; a pidfd
says when it ends.
"""
