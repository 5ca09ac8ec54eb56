using System.Globalization;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>A kernel changes its own code while its processors run it: the function tracer, probes and static keys, each by breakpoints that are put there and taken away.</summary>
public sealed class KernelPatchingTests
{
    [Fact]
    public void Tracer_probes_and_static_keys_are_switched_while_both_processors_work()
    {
        using GuestMachine guest = GuestMachine.StartDebian(DebianImage.Cloud, "translator", processors: 2);
        guest.ExpectPrompt();
        guest.Run("T=/sys/kernel/tracing; mount -t tracefs tracefs $T");

        // Somebody calls what is changed, on the other processor too.
        guest.Run("(while [ ! -e /stop ]; do cat /proc/uptime /proc/stat > /dev/null; done) & (while [ ! -e /stop ]; do ls -l /bin | sort > /dev/null; done) & true");
        for (int round = 0; round < 3; round++)
        {
            guest.Run("echo function > $T/current_tracer; cat /proc/uptime; echo nop > $T/current_tracer");
        }

        guest.Run("echo function > $T/current_tracer; cat /proc/uptime; echo 0 > $T/tracing_on");
        Assert.InRange(Number(guest, "grep -c vfs_read $T/trace"), 1, int.MaxValue);
        guest.Run("echo nop > $T/current_tracer; echo 1 > $T/tracing_on");

        // At a function's beginning by the tracer's call, behind it by a breakpoint that becomes a jump, and at its return.
        guest.Run("echo 'p:begins do_sys_openat2' > $T/kprobe_events");
        guest.Run("echo 'p:inside do_sys_openat2+9' >> $T/kprobe_events || echo 'p:inside do_sys_openat2+5' >> $T/kprobe_events");
        guest.Run("echo 'r:returns do_sys_openat2 $retval' >> $T/kprobe_events");
        for (int round = 0; round < 3; round++)
        {
            guest.Run("echo > $T/trace; echo 1 > $T/events/kprobes/enable");
            guest.Run("for i in 1 2 3 4 5 6 7 8 9 10; do cat /proc/uptime > /dev/null; done; echo 0 > $T/events/kprobes/enable");
            foreach (string probe in (ReadOnlySpan<string>)["begins", "inside", "returns"])
            {
                Assert.InRange(Number(guest, $"grep -c ' {probe}: ' $T/trace"), 10, int.MaxValue);
            }
        }

        guest.Run("echo > $T/kprobe_events");
        guest.Run("for i in 1 2 3 4 5 6 7 8 9 10; do echo 1 > /proc/sys/kernel/sched_schedstats; echo 0 > /proc/sys/kernel/sched_schedstats; done");
        guest.Run("touch /stop; wait");
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }

    private static int Number(GuestMachine guest, string command)
    {
        string text = guest.Run(command);
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : throw new InvalidOperationException($"{command} says {text}");
    }
}
