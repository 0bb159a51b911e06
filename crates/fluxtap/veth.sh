# A pair of interfaces, fa and fb, in a network namespace that is this script's own: what is sent to one
# comes out of the other. Sourced by loss.sh and soak.sh.
mount -t sysfs none /sys
ip link set lo up
ip link add name fa type veth peer name fb
for end in fa fb; do
    echo 1 >"/proc/sys/net/ipv6/conf/$end/disable_ipv6" 2>/dev/null || :
    ip link set "$end" up mtu 9000
done
