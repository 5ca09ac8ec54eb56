export PS1='\u@\h:\w\$ '
export PAGER=less EDITOR=vi USER=root LOGNAME=root
umask 022
alias ll='ls -l'
cat /etc/motd
. /lamina/session
# Typed input is not echoed by the terminal, which would show it before its turn; the shell shows each line as it takes it.
[ "$mode" = typed ] && set -v
