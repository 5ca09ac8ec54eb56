#!/bin/sh
# Leader of the console's session. The first process starts it, and takes the line it writes at the end as the end of the machine.
. /lamina/session
exec <"/dev/$console" >"/dev/$console" 2>&1
cd /root
sh -l
echo end >/lamina/end
