using System.Globalization;
using Lamina.Vmm;

namespace Lamina.Guests.Machines;

/// <summary>What comes to a guest while it runs, and goes, whatever hypervisor it sees.</summary>
internal static class Changes
{
    /// <summary>Waits, by the guest's own clock, until something is so.</summary>
    public static void Until(this GuestMachine guest, Func<bool> condition, string complaint) => guest.Until(condition, () => complaint);

    /// <summary>Does so, and says how it was instead.</summary>
    public static void Until(this GuestMachine guest, Func<bool> condition, Func<string> complaint)
    {
        // Asked once more, it might not hold: the shell says then that a program in the background has ended.
        bool met = condition();
        for (int i = 0; i < 100 && !met; i++)
        {
            guest.Run("sleep 0.1");
            met = condition();
        }

        Assert.True(met, $"{complaint()}\n{guest.Run("dmesg | tail -n 20")}");
    }

    /// <summary>A second card comes and gets an address through its own wire.</summary>
    public static void AttachCard(this GuestMachine guest, string driver)
    {
        Assert.Equal("net1", guest.Machine.AttachNetwork(new NetworkSettings()));
        guest.Until(() => guest.Run("ls /sys/class/net").Contains("eth1", StringComparison.Ordinal), "The guest does not find the card.");
        Assert.Contains(driver, guest.Run("readlink /sys/class/net/eth1/device/driver"), StringComparison.Ordinal);
        guest.AskForAddress();
        Assert.Equal(2, guest.Machine.CurrentSettings.Networks.Count);
    }

    /// <summary>The second card gets an address through its own wire.</summary>
    public static void AskForAddress(this GuestMachine guest) => Assert.Equal("0", guest.Run("ip link set eth1 up; udhcpc -i eth1 -s /bin/true -t 10 -T 1 -n -q >/dev/null 2>&1; echo $?"));

    /// <summary>It goes.</summary>
    public static void DetachCard(this GuestMachine guest)
    {
        Assert.True(guest.Machine.Detach("net1", TimeSpan.FromMinutes(1)), "The guest does not give the card up.");
        guest.Until(() => !guest.Run("ls /sys/class/net").Contains("eth1", StringComparison.Ordinal), "The guest keeps the card.");
        Assert.Single(guest.Machine.CurrentSettings.Networks);
    }

    /// <summary>MiB that the guest's kernel counts.</summary>
    public static int ReadTotal(this GuestMachine guest) => int.Parse(guest.Run("awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo"), CultureInfo.InvariantCulture);
}
