using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;
using Lamina.Kvm;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>
/// Debian's kernel on a machine without PCI and legacy devices, as Hyper-V's generation 2: its clock, disk and card are the hypervisor's, a disk and a card come and go, memory comes, it is saved and goes on under another accelerator, it starts
/// again and stops. <c>LAMINA_GENERATION2=1</c> has it tried under each accelerator with one and four processors.
/// </summary>
public sealed class Generation2Tests : IDisposable
{
    private const string Switch = "LAMINA_GENERATION2";
    private const ulong Start = 256 << 20;
    private const ulong All = 512 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-generation2").FullName;

    private static bool IsWhole => Environment.GetEnvironmentVariable(Switch) == "1";

    public static TheoryData<string, int> Matrix
    {
        get
        {
            TheoryData<string, int> cases = new() { { "translator", 4 }, { "interpreter", 1 } };
            if (IsWhole)
            {
                cases.Add("translator", 1);
                cases.Add("interpreter", 4);
                if (KvmHost.IsWorthIt(out _))
                {
                    cases.Add("kvm", 1);
                    cases.Add("kvm", 4);
                }
            }

            return cases;
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [MemberData(nameof(Matrix))]
    public async Task A_guest_has_all_that_it_needs_from_its_hypervisor(string accelerator, int processors)
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        string disk = MakeDisk("disk.raw", 16 << 20);
        using GuestMachine guest = GuestMachine.StartDebian(
            accelerator,
            processors,
            GuestHardware.Disk | GuestHardware.Network | GuestHardware.Balloon | GuestHardware.HotAdd | GuestHardware.HyperV,
            s => s with
            {
                Personality = PersonalityKind.HyperV,
                Generation = 2,
                MemorySize = All,
                StartMemorySize = Start,
                Disks = [new DiskSettings { Path = disk }],
                Networks = [new NetworkSettings()],
                OnReboot = RebootAction.Restart,
            });
        guest.ExpectPrompt();
        string messages = guest.Run("dmesg; dmesg -n 1");
        Assert.Contains("Hypervisor detected: Microsoft Hyper-V", messages, StringComparison.Ordinal);
        Assert.Contains("Using NULL legacy PIC", messages, StringComparison.Ordinal);
        Assert.Contains("Vmbus version:5.3", messages, StringComparison.Ordinal);
        Assert.Equal(processors.ToString(CultureInfo.InvariantCulture), guest.Run("nproc"));
        CheckHardware(guest);
        CheckClock(guest);
        CheckDisk(guest);
        await CheckNetworkAsync(guest);
        CheckDiskComingAndGoing(guest);
        guest.AttachCard("hv_netvsc");
        guest.DetachCard();
        guest.AttachCard("hv_netvsc");
        int total = CheckMemory(guest);
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));

        // It goes on under another accelerator, with its files, its clock, its disk and its services.
        string sum = guest.Run("dd if=/dev/sda bs=64k count=32 2>/dev/null | sha256sum; echo kept >/tmp/file");
        guest.GoOn(Path.Combine(_directory, "saved"), accelerator == "translator" ? "interpreter" : "translator");
        Assert.Equal("kept", guest.Run("cat /tmp/file"));
        Assert.Equal(sum, guest.Run("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sda bs=64k count=32 2>/dev/null | sha256sum"));
        CheckClock(guest);
        CheckDisk(guest);
        Assert.Equal(total, guest.ReadTotal());
        guest.AskForAddress();
        guest.DetachCard();

        // It starts again, by ACPI's reset register, and stops when it is asked to, by the shutdown service.
        guest.Type("reboot\r");
        guest.Expect("Linux version");
        guest.ExpectPrompt();
        Assert.Equal("gone", guest.Run("cat /tmp/file 2>/dev/null || echo gone"));
        CheckHardware(guest);
        guest.Until(() => guest.ReadTotal() == total, "The guest does not get its memory again.");
        complaints = [.. complaints, .. KernelComplaints.Find(guest.Run("dmesg"))];
        guest.Until(() => guest.Machine.Guest?.IsAlive == true, "The guest does not answer its heartbeat.");
        guest.Machine.PressPowerButton();
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
    }

    // Debian's generic kernel has the driver of the generation identifier.
    [Fact]
    public void A_guest_that_goes_on_in_another_machine_makes_other_random_numbers()
    {
        GuestImages.Get(DebianImage.Generic);
        Dictionary<string, string> environment = new()
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
        string Run(params string[] arguments)
        {
            LaminaResult result = LaminaProcess.Run(null, environment, arguments);
            Assert.True(result.Status == 0, result.Error);
            return result.Text;
        }

        string snapshot = Path.Combine(_directory, "saved");
        try
        {
            Run("run", "debian-generic", "--detach", "--name", "box", "--accel", "translator", "--memory", "256M", "--personality", "hyperv", "--generation", "2");
            Assert.DoesNotContain("virtual machine fork", Run("exec", "--wait", "300", "box", "--", "dmesg"), StringComparison.Ordinal);
            Run("snapshot", "box", snapshot);
            Run("kill", "box");
            Run("restore", snapshot, "--detach", "--name", "one");
            Assert.Contains("crng reseeded due to virtual machine fork", Run("exec", "--wait", "300", "one", "--", "sh", "-c", "until dmesg | grep fork; do sleep 0.1; done"), StringComparison.Ordinal);

            Run("stop", "one");
        }
        finally
        {
            LaminaProcess.Run(null, environment, "kill", "box");
            LaminaProcess.Run(null, environment, "kill", "one");
        }
    }

    // No PCI, no 8259, no interval timer, no event timer and no i8042; the console's interrupt comes by the I/O APIC.
    private static void CheckHardware(GuestMachine guest)
    {
        Assert.Equal("0", guest.Run("ls /sys/bus/pci/devices 2>/dev/null | wc -l"));
        Assert.Equal("", guest.Run("ls -d /sys/devices/pci* /sys/firmware/acpi/tables/MCFG /sys/firmware/acpi/tables/HPET 2>/dev/null"));
        Assert.Equal("", guest.Run("grep -E 'XT-PIC|timer$|i8042|hpet' /proc/interrupts"));
        Assert.Equal("", guest.Run("ls /sys/bus/serio/devices 2>/dev/null"));
        Assert.Contains("ttyS0", guest.Run("grep 'IO-APIC *4-edge' /proc/interrupts"), StringComparison.Ordinal);
        Assert.Contains("acpi", guest.Run("grep 'IO-APIC *9-fasteoi' /proc/interrupts"), StringComparison.Ordinal);
        Assert.Equal("6", guest.Run("(cd /sys/bus/acpi/devices && ls -d ACPI0004:00 MSFT1000:00 MSFT1002:00 PNP0501:00 PNP0501:01 PNP0B00:00 | wc -l)"));
    }

    // The reference time page and synthetic timers, with the frequency that the hypervisor tells: there is nothing to measure it with.
    private static void CheckClock(GuestMachine guest)
    {
        const string Source = "/sys/devices/system/clocksource/clocksource0";
        Assert.Contains("hyperv_clocksource_tsc_page", guest.Run($"cat {Source}/available_clocksource"), StringComparison.Ordinal);
        Assert.Equal("hyperv_clocksource_tsc_page", guest.Run($"echo hyperv_clocksource_tsc_page >{Source}/current_clocksource; cat {Source}/current_clocksource"));
        Assert.Equal("0", guest.Run("awk '/Local timer interrupts/ { n = 0; for (i = 2; i <= NF; i++) n += $i + 0; print n }' /proc/interrupts"));
        Assert.NotEqual("0", guest.Run("awk '/stimer0 interrupts/ { n = 0; for (i = 2; i <= NF; i++) n += $i + 0; print n }' /proc/interrupts"));

        // The day comes from the real-time clock, and from the time service.
        Assert.Matches("^-?[0-5]$", guest.Run(string.Create(CultureInfo.InvariantCulture, $"echo $(($(date +%s) - {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}))")));
    }

    private static void CheckDisk(GuestMachine guest)
    {
        Assert.NotEqual("", guest.Run("ls -d /sys/bus/vmbus/drivers/hv_storvsc/*-*-*-*-*"));
        guest.Run("dd if=/dev/urandom of=/tmp/piece bs=64k count=32 2>/dev/null; dd if=/tmp/piece of=/dev/sda bs=64k oflag=direct conv=notrunc 2>/dev/null; sync");
        Assert.Equal("same", guest.Run("dd if=/dev/sda of=/tmp/again bs=64k count=32 iflag=direct 2>/dev/null; cmp /tmp/piece /tmp/again && echo same"));
    }

    private static async Task CheckNetworkAsync(GuestMachine guest)
    {
        Assert.Contains("hv_netvsc", guest.Run("readlink /sys/class/net/eth0/device/driver"), StringComparison.Ordinal);
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ContentServer.ServeAsync(listener, content);
        string fetch = string.Create(CultureInfo.InvariantCulture, $"wget -q -O - http://$(ip route | awk '/^default/{{print $3}}'):{((IPEndPoint)listener.LocalEndpoint).Port}/ | sha256sum");
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(content)), guest.Run(fetch), StringComparison.Ordinal);
        listener.Stop();
        await serving;
    }

    private void CheckDiskComingAndGoing(GuestMachine guest)
    {
        string second = MakeDisk("second.raw", 4 << 20);
        Assert.Equal("disk1", guest.Machine.AttachDisk(new DiskSettings { Path = second }));
        guest.Until(() => guest.Run("ls /sys/block").Contains("sdb", StringComparison.Ordinal), "The guest does not find the disk.");
        guest.Run("echo here | dd of=/dev/sdb bs=512 conv=sync,fsync 2>/dev/null");
        guest.Machine.ResizeDisk("disk1", 8 << 20);
        guest.Until(() => guest.Run("cat /sys/block/sdb/size") == "16384", "The guest does not see that the disk has grown.");
        Assert.True(guest.Machine.Detach("disk1", TimeSpan.FromMinutes(2)), "The guest does not give the disk up.");
        guest.Until(() => !guest.Run("ls /sys/block").Contains("sdb", StringComparison.Ordinal), "The guest keeps the disk.");
        Assert.Equal("here\n"u8.ToArray(), File.ReadAllBytes(second)[..5]);
    }

    // MiB that the guest has with all of its memory, some of which it gives back and has again.
    private static int CheckMemory(GuestMachine guest)
    {
        MemoryBalloon balloon = guest.Machine.Balloon!;
        int before = guest.ReadTotal();
        Assert.InRange(before, 128, 256);
        Assert.Null(balloon.SetTarget(0, TimeSpan.FromMinutes(1)));
        guest.Until(() => balloon.Size == 0, "The guest does not get its memory.");
        int total = guest.ReadTotal();
        Assert.InRange(total - before, 240, 256);
        if (IsWhole)
        {
            // More than there was at the start is used.
            guest.Run("mkdir /more; mount -t tmpfs -o size=300m more /more; for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do cat /dev/sda; done >/more/data");
            string sum = guest.Run("sha256sum </more/data");
            Assert.Equal(sum, guest.Run("for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do cat /dev/sda; done | sha256sum"));
            guest.Run("umount /more");
        }

        balloon.Target = 32 << 20;
        guest.Until(() => balloon.Size == 32 << 20, "The guest gives no memory.");
        balloon.Target = 0;
        guest.Until(() => balloon.Size == 0, "The guest does not take its memory again.");
        return total;
    }

    private string MakeDisk(string name, int length)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllBytes(path, new byte[length]);
        return path;
    }
}
