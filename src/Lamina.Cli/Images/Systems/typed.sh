PS1='\u@\h:\w\$ '
PROMPT_COMMAND=
HISTFILE=
umask 022
# Typed input is not echoed by the terminal, which would show it before its turn; the shell shows each line as it takes it.
set -v
