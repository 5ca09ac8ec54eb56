using System.Globalization;
using System.Text.RegularExpressions;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's kernels, as they are, to a shell that answers, and off again.</summary>
public sealed partial class DebianBootTests
{
    [Theory]
    [MemberData(nameof(AcceleratorData.WithProcessors), MemberType = typeof(AcceleratorData))]
    public void Cloud_kernel(string accelerator, int processors) => Check(DebianImage.Cloud, accelerator, processors);

    [Theory]
    [MemberData(nameof(AcceleratorData.WithProcessors), MemberType = typeof(AcceleratorData))]
    public void Generic_kernel(string accelerator, int processors) => Check(DebianImage.Generic, accelerator, processors);

    private static void Check(DebianImage image, string accelerator, int processors)
    {
        using GuestMachine guest = GuestMachine.StartDebian(image, accelerator, processors);
        guest.ExpectPrompt();

        Assert.Matches(@"^6\.\d+\..*amd64$", guest.Run("uname -r"));
        Assert.Equal("42", guest.Run("expr 6 '*' 7"));
        Assert.Equal("5", guest.Run("(exit 3) || echo 5"));

        string processorInfo = guest.Run("cat /proc/cpuinfo");
        Assert.Equal(processors, ProcessorLine().Count(processorInfo));
        Assert.Contains("Lamina Virtual CPU", processorInfo, StringComparison.Ordinal);
        foreach (string flag in new[] { " fpu ", " tsc ", " apic ", " sse2 ", " lm ", " nx ", " syscall ", " cx16 ", " popcnt " })
        {
            Assert.Contains(flag, processorInfo, StringComparison.Ordinal);
        }

        // Time passes as on the host, by the clock the kernel trusts most.
        Assert.Equal("tsc", guest.Run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"));
        long drift = long.Parse(guest.Run("date +%s"), CultureInfo.InvariantCulture) - DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        Assert.InRange(drift, -5, 5);

        // The hypervisor is the one that the machine shows, with its clock and its interrupts.
        string messages = guest.Run("dmesg");
        Assert.Contains("Hypervisor detected: KVM", messages, StringComparison.Ordinal);
        if (accelerator != "kvm")
        {
            Assert.Contains("kvm-clock", guest.Run("cat /sys/devices/system/clocksource/clocksource0/available_clocksource"), StringComparison.Ordinal);
            Assert.Equal(processors > 1, messages.Contains("kvm-guest: setup PV IPIs", StringComparison.Ordinal));
        }

        IReadOnlyList<string> complaints = KernelComplaints.Find(messages);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.Contains("reboot: Power down", guest.Console, StringComparison.Ordinal);
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
    }

    [GeneratedRegex(@"^processor\s*:", RegexOptions.Multiline)]
    private static partial Regex ProcessorLine();
}
