complete -c spiped -s s -l source -d 'Accept connections at this address: /path, host:port, [ipv4]:port or [ipv6]:port; systemd:NAME takes the sockets that a socket unit has opened under this name; with -d also WebSockets: ws://host[:port]/path, wss://... or ws+unix://...' -r
complete -c spiped -s t -l target -d 'Connect to this address: /path, host:port, [ipv4]:port or [ipv6]:port; to a WebSocket: ws://host[:port]/path, wss://... or ws+unix://...' -r
complete -c spiped -s k -l key-file -d 'Read the shared key from this file, all of it; - means standard input' -r -F
complete -c spiped -s b -l bind -d 'Make connections to the target from this local address; the port may be left out [default: the system chooses]' -r
complete -c spiped -s o -l timeout -d 'Give up connecting, or a handshake, after this time, fractions allowed; 0 means the default' -r
complete -c spiped -l coalesce -d 'Let bytes that do not fill a packet wait this long for more, to save bandwidth' -r
complete -c spiped -l idle-timeout -d 'Reset a connection that has carried no byte either way for this time [default: never]' -r
complete -c spiped -l ack-timeout -d 'Give up a TCP connection if what was sent to either side stays unacknowledged or unread for this time; Linux only [default: when the system does]' -r
complete -c spiped -l proxy -d 'Reach the target through this proxy: http://, socks5:// or socks5h:// and host:port, with user:password@ before it if need be; none for no proxy [default: for WebSockets, what https_proxy, http_proxy, all_proxy and no_proxy say]' -r
complete -c spiped -l ws-ping -d 'Send a ping over each WebSocket this often, so that nobody on the way thinks it is dead when it is silent; 0 for never [default: 30]' -r
complete -c spiped -l http-header -d 'With -t ws:// or wss://: send this line, such as \'Name: value\', with the request; @FILE reads lines from a file. May be repeated' -r
complete -c spiped -l tls-ca -d 'With -t wss://: trust the authorities in this file of PEM certificates, and no others [default: those that the system trusts]' -r -F
complete -c spiped -l tls-cert -d 'With -d and -s wss://: show this certificate, a file of PEM with those after it that lead to an authority; SIGHUP reads it again' -r -F
complete -c spiped -l tls-key -d 'With -d and -s wss://: the private key of the certificate, PEM' -r -F
complete -c spiped -s n -l max-connections -d 'Keep no more connections than this at a time; 0 means no limit; with -d only those count whose peer has proved to hold the key' -r
complete -c spiped -l max-handshakes -d 'With -d: keep no more unfinished handshakes than this at a time; 0 means no limit' -r
complete -c spiped -s p -l pidfile -d 'Write the process number to this file [default: the address of -s followed by .pid]' -r -F
complete -c spiped -s r -l resolve-interval -d 'Look up the target\'s addresses again after this time, fractions allowed; 0 means the default' -r
complete -c spiped -l drain-timeout -d 'After SIGTERM end the connections that are left when this time is up [default: let them finish]' -r
complete -c spiped -s u -l user -d 'After the start change to this user, :group or user:group, names or numbers [default: stay]' -r -f -a "(__fish_complete_users)"
complete -c spiped -l log-level -d 'Log messages of this level and worse: error, warn, info, debug or trace; beats the variable RUST_LOG [default: info]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c spiped -s e -l encrypt -d 'Encrypt: plain connections come in at -s, encrypted ones go out to -t'
complete -c spiped -s d -l decrypt -d 'Decrypt: encrypted connections come in at -s, plain ones go out to -t'
complete -c spiped -s f -l no-pfs -d 'Do without perfect forward secrecy: saves computing time, but whoever learns the key later can read what was recorded [default: use it unless the peer does without]'
complete -c spiped -s g -l require-pfs -d 'Refuse a peer that does without perfect forward secrecy [default: accept it]'
complete -c spiped -s j -l no-keepalive -d 'Do not send TCP keep-alives [default: send them]'
complete -c spiped -l no-sandbox -d 'Keep every right that the user has [default: once all is open, give up files, programs and other processes, as far as the system can do that]'
complete -c spiped -s v -l version -d 'Print the version (on standard error, as C spiped does) and exit'
complete -c spiped -s h -l help -d 'Print this help and exit'
complete -c spiped -s w -l websocket -d 'With -d: accept WebSockets at -s, whatever path they ask for; like ws:// before the address'
complete -c spiped -s D -l wait-for-dns -d 'Go to the background at once and wait until names can be looked up [default: fail at the start if they cannot]'
complete -c spiped -s F -l foreground -d 'Stay in the foreground: no process in the background, no pidfile, no syslog [default: go to the background once connections are accepted]'
complete -c spiped -s R -l resolve-once -d 'Look up the target\'s addresses only once, at the start [default: every -r seconds]'
complete -c spiped -l reuse-port -d 'Let other processes of the same user that have this option listen at the same port, too: the system deals connections out among them; Linux and FreeBSD only [default: no]'
complete -c spiped -l syslog -d 'Once in the background, write messages to syslog [default: to standard error]'
