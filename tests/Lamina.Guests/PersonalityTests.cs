using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Screen;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;
using Lamina.Machine.Input;
using Lamina.Networking;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's kernel, as it is, under the hypervisors that a machine shows: its drivers find disks and network cards, and keep what goes through them.</summary>
public sealed class PersonalityTests : IDisposable
{
    private readonly string _disk = Path.GetTempFileName();

    private string SocketPath => _disk + ".socket";

    public void Dispose()
    {
        File.Delete(_disk);
        File.Delete($"{SocketPath}_80");
    }

    [Fact]
    public async Task Under_VMware_disks_are_on_pvscsi_and_cards_are_vmxnet3()
    {
        await CheckAsync(PersonalityKind.VMware, GuestHardware.VMware | GuestHardware.Socket, "VMware", guest =>
        {
            CheckComingAndGoing(guest, "sdb", isAsked: true);
            CheckCardComingAndGoing(guest, "vmxnet3");
            Assert.Contains("vmxnet3", guest.Run("readlink /sys/class/net/eth0/device/driver"), StringComparison.Ordinal);
            CheckSockets(guest, "vmw_vsock_vmci_transport");
            Assert.Contains("vmw_pvscsi", guest.Run("readlink /sys/bus/pci/devices/0000:00:1f.0/driver"), StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task Under_HyperV_disks_and_cards_are_on_VMBus_and_timers_are_synthetic()
    {
        await CheckAsync(PersonalityKind.HyperV, GuestHardware.HyperV | GuestHardware.Balloon | GuestHardware.Socket | GuestHardware.Screen, "Microsoft Hyper-V", guest =>
        {
            Assert.Contains("Vmbus version:5.3", guest.Run("dmesg"), StringComparison.Ordinal);
            Assert.NotEqual("", guest.Run("ls -d /sys/bus/vmbus/drivers/hv_storvsc/*-*-*-*-*"));
            Assert.Contains("hv_netvsc", guest.Run("readlink /sys/class/net/eth0/device/driver"), StringComparison.Ordinal);
            Assert.Contains("hyperv_clocksource_tsc_page", guest.Run("cat /sys/devices/system/clocksource/clocksource0/available_clocksource"), StringComparison.Ordinal);
            Assert.Equal("0", guest.Run("awk '/Local timer interrupts/ { print $2 + $3 }' /proc/interrupts"));
            Assert.NotEqual("0", guest.Run("awk '/stimer0 interrupts/ { print $2 * $3 }' /proc/interrupts"));

            // Translations are flushed by hypercall, and there is a channel for each processor.
            Assert.Contains("Using hypercall for remote TLB flush", guest.Run("dmesg"), StringComparison.Ordinal);
            Assert.Equal("0", guest.Run("awk '/TLB shootdowns/ { print $2 + $3 }' /proc/interrupts"));
            Assert.Equal("2", guest.Run("ls /sys/class/net/eth0/device/channels | wc -l"));
            Assert.Equal("2", guest.Run("ls /sys/bus/vmbus/drivers/hv_storvsc/*-*-*-*-*/channels | wc -l"));

            // A disk comes, is used, and goes.
            string second = Path.GetTempFileName();
            File.WriteAllBytes(second, new byte[8 << 20]);
            Assert.Equal("disk1", guest.Machine.AttachDisk(new DiskSettings { Path = second }));
            guest.Until(() => guest.Run("ls /sys/block").Contains("sdb", StringComparison.Ordinal), "The guest does not find the disk.");
            Assert.Equal("2+0 records out", guest.Run("dd if=/dev/zero of=/dev/sdb bs=1M count=2 2>&1 | grep out"));
            Assert.True(guest.Machine.Detach("disk1", TimeSpan.FromMinutes(1)), "The guest does not give the disk up.");
            guest.Until(() => !guest.Run("ls /sys/block").Contains("sdb", StringComparison.Ordinal), "The guest keeps the disk.");
            File.Delete(second);

            CheckCardComingAndGoing(guest, "hv_netvsc");

            // Memory goes to the host and comes back.
            MemoryBalloon balloon = guest.Machine.Balloon!;
            balloon.Target = 32 << 20;
            guest.Until(() => balloon.Size == 32 << 20, "The guest gives no memory.");
            balloon.Target = 0;
            guest.Until(() => balloon.Size == 0, "The guest does not take its memory again.");

            CheckSockets(guest, "hv_sock");

            // What has ended is gone.
            guest.Until(() => guest.Run("ls /sys/bus/vmbus/drivers/hv_sock | grep -c -- -facb-").Trim() == "0", "The guest keeps channels of connections that have ended.");
            CheckScreen(guest, "hyperv_fb");
            CheckMouse(guest);

            // The services: the guest answers its heartbeat, knows the host's time, and is asked to stop in the end.
            Assert.True(guest.Machine.Guest?.IsAlive, "The guest does not answer its heartbeat.");
            Assert.Contains("hyperv", guest.Run("cat /sys/class/ptp/*/clock_name"), StringComparison.Ordinal);
            Assert.Matches("^-?[0-5]$", guest.Run(string.Create(CultureInfo.InvariantCulture, $"echo $(($(date +%s) - {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}))")));
        },
        end: static guest => guest.Machine.PressPowerButton());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Under_HyperV_the_newer_driver_of_the_screen_has_its_picture_in_the_screens_memory(int generation)
    {
        // A picture of 800x600 pixels, of which the fourth byte shows nothing.
        byte[] picture = new byte[800 * 600 * 4];
        new Random(27).NextBytes(picture);
        File.WriteAllBytes(_disk, picture);
        using GuestMachine guest = GuestMachine.StartDebian(
            "translator",
            1,
            GuestHardware.HyperV | GuestHardware.Screen | GuestHardware.Disk,
            s => s with
            {
                Personality = PersonalityKind.HyperV,
                Generation = generation,
                Disks = [new DiskSettings { Path = _disk }],
                Screen = new ScreenSettings { Width = 800, Height = 600 },
            },
            DebianImage.Generic);
        guest.ExpectPrompt();
        Assert.Contains("hyperv_drm", guest.Run("readlink /sys/class/drm/card0/device/driver"), StringComparison.Ordinal);
        CheckScreen(guest, "hyperv_drmdrmfb");
        CheckMouse(guest);

        // The console with its cursor lets go of the screen. In one write: Linux 6.1 does not show the end of a line where a write within that ends.
        guest.Run("echo 0 >/sys/class/vtconsole/vtcon1/bind; dd if=/dev/sda of=/dev/fb0 bs=1920000 count=1 2>/dev/null");
        string others = "";
        guest.Until(() => (others = FindOthers(picture, guest.Machine.TakeScreenshot())) == "", () => others);
        string directory = _disk + ".saved";
        try
        {
            guest.GoOn(directory, "translator");
            Assert.Equal("", FindOthers(picture, guest.Machine.TakeScreenshot()));
            guest.Run("echo 1 >/sys/class/vtconsole/vtcon1/bind");
            CheckScreen(guest, "hyperv_drmdrmfb");
            CheckMouse(guest);
            IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
            Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        }
        finally
        {
            guest.Dispose();
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void Under_HyperV_a_guest_gets_memory_while_it_runs_and_gives_it_back()
    {
        const ulong Start = 256 << 20;
        const ulong All = 512 << 20;
        string directory = _disk + ".saved";
        using GuestMachine guest = GuestMachine.StartDebian(
            "translator",
            1,
            GuestHardware.HyperV | GuestHardware.Balloon | GuestHardware.HotAdd,
            static s => s with { Personality = PersonalityKind.HyperV, MemorySize = All, StartMemorySize = Start });
        guest.ExpectPrompt();
        Assert.Equal(All - Start, guest.Machine.Balloon!.Size);
        int before = guest.ReadTotal();
        Assert.InRange(before, 128, 256);
        guest.Machine.Balloon.Target = 0;
        guest.Until(() => guest.Machine.Balloon.Size == 0, "The guest does not get its memory.");
        Assert.InRange(guest.ReadTotal() - before, 240, 256);

        // It is memory, also in the machine that goes on from a snapshot.
        guest.Run("mkdir /more; mount -t tmpfs -o size=300m more /more; dd if=/dev/urandom of=/more/data bs=1M count=240 2>/dev/null");
        string sum = guest.Run("sha256sum </more/data").Split(' ')[0];
        try
        {
            guest.GoOn(directory, "translator");
            Assert.Equal(sum, guest.Run("sha256sum </more/data").Split(' ')[0]);
            guest.Run("umount /more");
            guest.Machine.Balloon!.Target = 100 << 20;
            guest.Until(() => guest.Machine.Balloon.Size == 100 << 20, "The guest gives nothing of it back.");
            guest.Machine.Balloon.Target = 0;
            guest.Until(() => guest.Machine.Balloon.Size == 0, "The guest does not take it again.");
            IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
            Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        }
        finally
        {
            guest.Dispose();
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task Under_Xen_disks_and_cards_are_behind_the_control_domain()
    {
        await CheckAsync(
            PersonalityKind.Xen,
            GuestHardware.Xen | GuestHardware.Screen | GuestHardware.Socket,
            "Xen HVM",
            guest =>
            {
                CheckComingAndGoing(guest, "xvdb", persistentGrants: true);
                CheckCardComingAndGoing(guest, "vif");
                CheckBalloon(guest);
                CheckScreen(guest, "xen");
                Assert.Contains("xen", guest.Run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"), StringComparison.Ordinal);
                Assert.Equal("vbd-51712\nvfb-0\nvif-0\nvkbd-0", guest.Run("ls -1 /sys/bus/xen/devices"));
                Assert.Contains("Using FIFO-based ABI", guest.Run("dmesg"), StringComparison.Ordinal);
                Assert.Equal("disabled", guest.Run("dmesg | sed -n 's/.*blkfront: xvda: .*persistent grants: \\([a-z]*\\); indirect descriptors: enabled.*/\\1/p'"));
                Assert.Equal("enabled", guest.Run("dmesg | sed -n 's/.*blkfront: xvdb: .*persistent grants: \\([a-z]*\\); indirect descriptors: enabled.*/\\1/p'"));
                Assert.Equal("0", guest.Run("awk '/Local timer interrupts/ { print $2 + $3 }' /proc/interrupts"));
                Assert.NotEqual("0", guest.Run("awk '/callfuncsingle1/ { print $3 }' /proc/interrupts"));

                // Interrupts of devices are events, too: lines and messages.
                CheckSockets(guest, "vmw_vsock_virtio_transport");
                Assert.Equal("xen-pirq 4-ioapic-edge ttyS0\nxen-pirq -msi-x virtio0-rx", guest.Run("awk '/ttyS0|virtio0-rx/ { print $4, $5, $6 }' /proc/interrupts"));
            },
            disk: "xvda");
    }

    // Sockets between guest and host, both ways, with more than their rings hold; the port at which nobody listens is refused each way.
    private void CheckSockets(GuestMachine guest, string driver)
    {
        Assert.NotEqual("", guest.Run($"grep {driver} /proc/modules"));
        guest.Install("/tmp/server", SocketProgram.CreateServer(5000, "exec cat"));
        Assert.Equal("0", guest.Run("/tmp/server; echo $?"));
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        for (int i = 0; i < 3; i++)
        {
            using Socket connection = HostSockets.Dial(SocketPath, 5000);
            Task sender = Task.Run(() => HostSockets.SendAll(connection, content), TestContext.Current.CancellationToken);
            Assert.Equal(content, HostSockets.ReadToEnd(connection));
            sender.Wait(TestContext.Current.CancellationToken);
        }

        using (Socket refused = HostSockets.Connect(SocketPath))
        {
            refused.Send("CONNECT 5001\n"u8);
            Assert.Empty(HostSockets.ReadToEnd(refused));
        }

        using Socket server = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        server.Bind(new UnixDomainSocketEndPoint($"{SocketPath}_80"));
        server.Listen();
        Task<byte[]> served = Task.Run(() =>
        {
            using Socket accepted = server.Accept();
            accepted.ReceiveTimeout = HostSockets.Patience;
            HostSockets.SendAll(accepted, content);
            return HostSockets.ReadToEnd(accepted);
        }, TestContext.Current.CancellationToken);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 80, "sha256sum"));
        Assert.Equal("0", guest.Run("/tmp/client; echo $?"));
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(content)), System.Text.Encoding.ASCII.GetString(served.GetAwaiter().GetResult()), StringComparison.Ordinal);
        guest.Install("/tmp/client", SocketProgram.CreateClient(2, 81, "true"));
        Assert.Equal("1", guest.Run("/tmp/client; echo $?"));
    }

    // What the guest's console shows is on the screen, and what is typed arrives at the shell there.
    private static void CheckScreen(GuestMachine guest, string driver)
    {
        Assert.Equal(driver, guest.Run("cat /sys/class/graphics/fb0/name"));
        Assert.Equal("800,600", guest.Run("cat /sys/class/graphics/fb0/virtual_size"));
        guest.Run("rm -f /tmp/typed; printf '\\033[?25l\\033[44m\\033[2J\\033[H' >/dev/tty1");
        double blue = 0;
        guest.Until(() => (blue = GetShare(guest.Machine.TakeScreenshot(), 0, 0, 0xaa)) > 0.98, "The screen is not blue.");
        guest.Machine.TypeKeys(UsKeyboard.Parse("echo $((6*7))@'Lamina'>/tmp/typed\n"));
        guest.Until(() => guest.Run("cat /tmp/typed 2>/dev/null") == "42@Lamina", "What was typed did not arrive.");

        // The shell has echoed it.
        Screenshot screen = guest.Machine.TakeScreenshot();
        Assert.Equal((800, 600), (screen.Width, screen.Height));
        Assert.InRange(GetShare(screen, 0, 0, 0xaa), 0.5, blue - 0.001);
    }

    private static void CheckMouse(GuestMachine guest)
    {
        guest.Run("rm -f /tmp/moved; for e in /sys/class/input/event*; do grep -q Vmbus $e/device/name && m=/dev/input/${e##*/}; done; dd if=$m of=/tmp/moved bs=24 count=1 2>/dev/null &");
        bool moved = false;
        ushort place = 0;
        guest.Until(() => (moved |= guest.Machine.TryMovePointer(new PointerState(place += 100, 0x2000, 0))) && guest.Run("wc -c </tmp/moved").Trim() == "24", "The mouse does not move.");
    }

    private static double GetShare(Screenshot screen, byte red, byte green, byte blue)
    {
        ReadOnlySpan<byte> pixels = screen.Pixels.Span;
        int count = 0;
        for (int i = 0; i < pixels.Length; i += 3)
        {
            count += pixels[i] == red && pixels[i + 1] == green && pixels[i + 2] == blue ? 1 : 0;
        }

        return (double)count / (screen.Width * screen.Height);
    }

    // The pixels that are not those of a picture, how many they are and which are the first; empty if there are none.
    private static string FindOthers(ReadOnlySpan<byte> picture, Screenshot screen)
    {
        ReadOnlySpan<byte> pixels = screen.Pixels.Span;
        Assert.Equal(picture.Length / 4, pixels.Length / 3);
        List<string> others = [];
        for (int i = 0; i < pixels.Length / 3; i++)
        {
            ReadOnlySpan<byte> shown = [pixels[(i * 3) + 2], pixels[(i * 3) + 1], pixels[i * 3]];
            if (!shown.SequenceEqual(picture.Slice(i * 4, 3)))
            {
                others.Add(string.Create(CultureInfo.InvariantCulture, $"({i % screen.Width}, {i / screen.Width}) {Convert.ToHexString(shown)} for {Convert.ToHexString(picture.Slice(i * 4, 3))}"));
            }
        }

        return others.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{others.Count} pixels of the screen are not the picture's: {string.Join("; ", others.Take(20))}");
    }

    private void CheckComingAndGoing(GuestMachine guest, string name, bool isAsked = false, bool persistentGrants = false)
    {
        string path = _disk + ".second";
        File.WriteAllBytes(path, new byte[1 << 20]);
        try
        {
            string device = guest.Machine.AttachDisk(new DiskSettings { Path = path, HasPersistentGrants = persistentGrants });
            guest.Run($"until [ -b /dev/{name} ]; do sleep 0.1; done; echo here | dd of=/dev/{name} bs=512 conv=sync,fsync 2>/dev/null");

            // It grows; a guest that is told of that by its adapter's answers looks when it is asked to.
            guest.Machine.ResizeDisk(device, 3 << 20);
            guest.Run(!isAsked ? "true" : $"dd if=/dev/{name} of=/dev/null bs=4k count=1 skip=9 iflag=direct 2>/dev/null; echo 1 >/sys/block/{name}/device/rescan");
            guest.Until(() => guest.Run($"cat /sys/block/{name}/size") == "6144", "The guest does not see that the disk has grown.");
            Assert.Equal(isAsked, guest.Run("dmesg").Contains("Capacity data has changed", StringComparison.OrdinalIgnoreCase));
            Assert.True(guest.Machine.Detach(device, TimeSpan.FromMinutes(2)), "The guest does not give the disk up.");
            Assert.Equal("gone", guest.Run($"[ -e /sys/block/{name} ] || echo gone"));
            Assert.Equal("here\n"u8.ToArray(), File.ReadAllBytes(path)[..5]);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // A second card comes, gets an address through its own wire, and goes; the place is another's then.
    private static void CheckCardComingAndGoing(GuestMachine guest, string driver)
    {
        for (int i = 0; i < 2; i++)
        {
            guest.AttachCard(driver);
            guest.DetachCard();
        }
    }

    // The guest's own balloon, by the host's word.
    private static void CheckBalloon(GuestMachine guest)
    {
        const ulong Target = 64 << 20;
        MemoryBalloon balloon = guest.Machine.Balloon!;
        balloon.Target = Target;
        guest.Run("until [ $(($(cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb))) -le $(($(cat /sys/devices/system/xen_memory/xen_memory0/target_kb))) ]; do sleep 0.1; done");
        Assert.True(balloon.Size >= Target, $"The guest has given {balloon.Size} bytes back, of {Target}.");
        balloon.Target = 0;
        guest.Run("until [ $(($(cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb))) -ge $(($(cat /sys/devices/system/xen_memory/xen_memory0/target_kb))) ]; do sleep 0.1; done");
        Assert.Equal(0UL, balloon.Size);
    }

    private async Task CheckAsync(PersonalityKind personality, GuestHardware drivers, string name, Action<GuestMachine> check, string disk = "sda", Action<GuestMachine>? end = null)
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        File.WriteAllBytes(_disk, new byte[32 << 20]);
        ushort port = GetFreePort();
        NetworkSettings network = new() { PublishedPorts = [new PublishedPort("127.0.0.1", port, 80, false)] };
        using GuestMachine guest = GuestMachine.StartDebian(
            "translator",
            2,
            GuestHardware.Disk | GuestHardware.Network | drivers,
            s => s with
            {
                Personality = personality,
                Networks = [network],
                Disks = [new DiskSettings { Path = _disk }],
                Balloon = drivers.HasFlag(GuestHardware.Balloon) ? new BalloonSettings() : null,
                Screen = drivers.HasFlag(GuestHardware.Screen) ? new ScreenSettings { Width = 800, Height = 600 } : null,
                Sockets = drivers.HasFlag(GuestHardware.Socket) ? new SocketSettings { Address = 3, Path = SocketPath } : null,
            });
        guest.ExpectPrompt();
        string messages = guest.Run("dmesg; dmesg -n 1");
        Assert.Contains($"Hypervisor detected: {name}", messages, StringComparison.Ordinal);
        check(guest);

        // The disk keeps what is written, with many requests at once.
        guest.Run($"for i in 0 1 2 3; do dd if=/dev/urandom of=/dev/{disk} bs=64k seek=$((i * 64)) count=64 conv=notrunc 2>/dev/null & done; wait; sync");
        string sum = guest.Run($"dd if=/dev/{disk} bs=1M count=16 2>/dev/null | sha256sum").Split(' ')[0];
        guest.Run("echo 3 >/proc/sys/vm/drop_caches");
        Assert.Equal(sum, guest.Run($"dd if=/dev/{disk} bs=1M count=16 2>/dev/null | sha256sum").Split(' ')[0]);

        // What the guest sends comes out as large segments, and goes in again.
        guest.Run("mkdir /tmp/www; dd if=/dev/urandom of=/tmp/www/data bs=64k count=32 2>/dev/null; httpd -p 80 -h /tmp/www");
        string sent = guest.Run("sha256sum </tmp/www/data").Split(' ')[0];
        using HttpClient client = new() { Timeout = TimeSpan.FromMinutes(2) };
        byte[] got = await client.GetByteArrayAsync(new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/data")), TestContext.Current.CancellationToken);
        Assert.Equal(sent, Convert.ToHexStringLower(SHA256.HashData(got)));
        byte[] content = RandomNumberGenerator.GetBytes(3 << 20);
        using TcpListener host = new(IPAddress.Any, 0);
        host.Start();
        Task served = ServeAsync(host, content);
        string address = string.Create(CultureInfo.InvariantCulture, $"http://$(ip route | awk '/^default/{{print $3}}'):{((IPEndPoint)host.LocalEndpoint).Port}/");
        Assert.Equal($"{Convert.ToHexStringLower(SHA256.HashData(content))}  -", guest.Run($"wget -q -O - {address} | sha256sum"));
        await served;

        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        (end ?? (static g => g.Type("exit\r")))(guest);
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        using FileStream image = File.OpenRead(_disk);
        byte[] written = new byte[16 << 20];
        image.ReadExactly(written);
        Assert.Equal(sum, Convert.ToHexStringLower(SHA256.HashData(written)));
    }

    private static async Task ServeAsync(TcpListener listener, byte[] content)
    {
        using TcpClient client = await listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        NetworkStream stream = client.GetStream();
        byte[] request = new byte[4096];
        _ = await stream.ReadAsync(request, TestContext.Current.CancellationToken);
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.0 200 OK\r\nContent-Length: {content.Length}\r\n\r\n")), TestContext.Current.CancellationToken);
        await stream.WriteAsync(content, TestContext.Current.CancellationToken);
    }

    private static ushort GetFreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return (ushort)((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
