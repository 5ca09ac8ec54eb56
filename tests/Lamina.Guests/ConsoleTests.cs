using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Vmm;
using Lamina.Vmm.Serial;

namespace Lamina.Guests;

/// <summary>Debian's driver on a virtio console and on named ports.</summary>
public sealed class ConsoleTests
{
    [Theory]
    [MemberData(nameof(AcceleratorData.All), MemberType = typeof(AcceleratorData))]
    public void A_shell_sits_at_a_virtio_console_and_a_port_carries_bytes(string accelerator)
    {
        MemoryCharacterOutput agent = new();
        using ManualResetEventSlim arrived = new();
        agent.Written += arrived.Set;
        PortSettings port = new() { Name = "org.example.agent", Output = agent };
        using GuestMachine guest = GuestMachine.StartDebian(accelerator, 2, GuestHardware.Console, s => s with { Ports = [port] });
        guest.ExpectPrompt();
        Assert.Equal("/dev/hvc0", guest.Run("tty"));
        guest.Run("dmesg -n 1");
        string lines = guest.Run("seq 1 20000");
        Assert.Equal(string.Join('\n', Enumerable.Range(1, 20000)), lines);

        // The window changes; a shell that sits at its prompt then shows it again.
        guest.Type("until [ \"$(stty size)\" = '50 250' ]; do :; done; echo \"size: $(stty size)\"\r");
        guest.Machine.ResizeConsole(250, 50);
        guest.Expect("size: 50 250");
        guest.ExpectPrompt();

        // A port, found by its name.
        string device = guest.Run("for p in /sys/class/virtio-ports/*; do [ \"$(cat $p/name 2>/dev/null)\" = org.example.agent ] && echo /dev/${p##*/}; done");
        Assert.StartsWith("/dev/vport", device, StringComparison.Ordinal);
        guest.Machine.Ports[0].Write("question\n"u8);
        Assert.Equal("question", guest.Run($"exec 5<>{device}; head -n 1 <&5"));
        arrived.Reset();
        guest.Run("echo answer >&5; exec 5>&-");
        Assert.True(arrived.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
        Assert.Equal("answer\n", agent.Text);

        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }
}
