using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>
/// A Debian with systemd and the tools that Debian has for its hypervisor, as they are, with two processors: what the guest says of itself is shown outside; it starts again and stops when its hypervisor asks it to, with no other way left;
/// its clock is set; fio verifies what it wrote through the personality's driver, and the host's image holds it; digests and iperf3 go through its card both ways; a disk and a card come and go at the same time; its drivers suspend and go on.
/// <c>LAMINA_TOOLS=1</c> has each do all of that; without it a guest is started once, does without a restart, iperf3, what comes and goes, the suspension and the wait for its address, and generation 2 is left out.
/// </summary>
public sealed class GuestToolsTests : IDisposable
{
    private const string Switch = "LAMINA_TOOLS";
    private const string Packages = "hyperv-daemons,open-vm-tools,xenstore-utils,fio,iperf3";
    private const string Machine = "tools";
    private const int DiskSize = 64 << 20;
    private const int AddedSize = 16 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-tools").FullName;
    private readonly byte[] _content = RandomNumberGenerator.GetBytes(4 << 20);
    private Dictionary<string, string> _environment = [];

    public void Dispose()
    {
        LaminaProcess.Run(null, _environment, "kill", Machine);
        Directory.Delete(_directory, recursive: true);
    }

    private static bool IsWhole => Environment.GetEnvironmentVariable(Switch) == "1";

    [Theory]
    [InlineData("hyperv", 1)]
    [InlineData("hyperv", 2)]
    [InlineData("xen", 1)]
    [InlineData("vmware", 1)]
    public async Task Debians_tools_and_drivers_do_what_their_hypervisor_offers(string personality, int generation)
    {
        Assert.SkipWhen(generation == 2 && !IsWhole, $"{Switch}=1 includes it.");
        _environment = SystemImages.Prepare("debian", "tools-tests", Packages, "passt", "iperf3");
        _environment["XDG_RUNTIME_DIR"] = _directory;
        _environment["XDG_STATE_HOME"] = Path.Combine(_directory, "state");
        string disk = MakeDisk("second.raw", DiskSize);
        Run(
            "run", "debian", "--detach", "--name", Machine, "--accel", "translator", "--personality", personality, "--generation", generation.ToString(CultureInfo.InvariantCulture), "--cpus", "2", "--memory", "512M",
            "--net", "user", "--disk", disk);
        Assert.Equal(
            $"running\n{(personality == "hyperv" ? "microsoft" : personality)}\n2\n",
            Execute("systemctl is-system-running --wait; systemctl --failed --no-legend; systemd-detect-virt; nproc"));
        CheckTools(personality);
        if (IsWhole)
        {
            CheckRestart(personality);
        }

        CheckDisk(personality);
        string gateway = Execute("ip -4 route show default | awk '{ print $3; exit }'").Trim();
        using (HostSide host = new(_content))
        {
            await CheckNetworkAsync(host, gateway);
            if (IsWhole)
            {
                CheckSpeed(host, gateway);
                CheckComingAndGoing();
                CheckSuspend(personality);
                await CheckNetworkAsync(host, gateway);
            }
        }

        CheckTime(personality);
        CheckReport(personality);
        string sum = CheckDiscard();

        // There is no power button: its hypervisor asks it.
        Execute("rmmod button");
        Run("stop", "--no-force", "--timeout", "120", Machine);
        Assert.Contains("reboot: Power down", Run("logs", Machine), StringComparison.Ordinal);
        CheckImage(disk, sum);
    }

    // Its daemon runs, and no other hypervisor's.
    private void CheckTools(string personality)
    {
        (string unit, string state)[] expected = personality switch
        {
            "hyperv" => [("hv-kvp-daemon", "active"), ("open-vm-tools", "inactive")],
            "vmware" => [("hv-kvp-daemon", "inactive"), ("open-vm-tools", "active")],
            _ => [("hv-kvp-daemon", "inactive"), ("open-vm-tools", "inactive")],
        };
        Assert.Equal(
            string.Concat(expected.Select(static e => $"{e.state}\n")),
            Execute($"{string.Join("; ", expected.Select(static e => $"systemctl is-active {e.unit}"))}; true"));
        if (personality == "vmware")
        {
            CheckVariables();
        }
        else if (personality == "xen")
        {
            Assert.Equal($"xen\n{Machine}\n", Execute("cat /sys/hypervisor/type; xenstore-read name"));
        }
    }

    // What one program sets, another reads, as long as a message has room for.
    private void CheckVariables()
    {
        Assert.Equal("dark blue\n", Execute("vmware-rpctool 'info-set guestinfo.color dark blue' >/dev/null; vmtoolsd --cmd 'info-get guestinfo.color'"));
        Assert.Equal("same\n", Execute("""
            value=$(head -c 45000 /dev/urandom | base64 -w 0)
            vmtoolsd --cmd "info-set guestinfo.long $value" >/dev/null || exit
            [ "$(vmware-rpctool 'info-get guestinfo.long')" = "$value" ] && echo same
            """));
    }

    // It is asked by its hypervisor: Ctrl-Alt-Delete does nothing.
    private void CheckRestart(string personality)
    {
        WaitForHeartbeat(personality);
        string before = Execute("systemctl mask --runtime --quiet ctrl-alt-del.target; cat /proc/sys/kernel/random/boot_id");
        Run("reboot", Machine);
        Until(() => Run("logs", Machine).Contains("reboot: Restarting system", StringComparison.Ordinal), "The guest does not start again.");
        Assert.NotEqual(before, Execute("systemctl is-system-running --wait >/dev/null; cat /proc/sys/kernel/random/boot_id"));
    }

    // With requests of both processors, in as many queues as the driver has.
    private void CheckDisk(string personality)
    {
        string queues = Execute("""
            echo "/dev/$(lsblk -bdnro NAME,SIZE | awk '$2 == 67108864 { print $1 }')" >/run/disk
            disk=$(cat /run/disk)
            fio --name=verified --filename=$disk --rw=randwrite --bs=4k-64k --iodepth=16 --ioengine=libaio --direct=1 --size=24M --numjobs=2 --offset_increment=24M --cpus_allowed=0-1 --cpus_allowed_policy=split \
                --verify=crc32c --verify_fatal=1 --do_verify=1 >/tmp/fio 2>&1 || { cat /tmp/fio >&2; exit 1; }
            ls /sys/block/${disk#/dev/}/mq | wc -l
            """);
        Assert.Equal(personality == "vmware" ? "1\n" : "2\n", queues);
        if (personality == "hyperv")
        {
            Assert.Equal("2\n", Execute("cat /sys/bus/vmbus/drivers/hv_storvsc/*/channels/*/events | awk '$1 > 100' | wc -l"));
        }
    }

    // Four streams at once each way.
    private async Task CheckNetworkAsync(HostSide host, string gateway)
    {
        string fetched = Execute(string.Create(CultureInfo.InvariantCulture, $"for i in 1 2 3 4; do (cat </dev/tcp/{gateway}/{host.SendingPort} | sha256sum) & done; wait"));
        Assert.Equal(string.Concat(Enumerable.Repeat($"{Convert.ToHexStringLower(SHA256.HashData(_content))}  -\n", 4)), fetched);
        Task<string[]> taken = host.TakeDigestsAsync(4);
        string sum = Execute(string.Create(
            CultureInfo.InvariantCulture, $"head -c 4M /dev/urandom >/tmp/data; for i in 1 2 3 4; do cat /tmp/data >/dev/tcp/{gateway}/{host.ReceivingPort} & all=\"$all $!\"; done; for one in $all; do wait $one || exit; done; sha256sum </tmp/data"))[..64];
        Assert.Equal(Enumerable.Repeat($"{4 << 20} {sum}", 4), await taken.WaitAsync(Patience, TestContext.Current.CancellationToken));
    }

    private void CheckSpeed(HostSide host, string gateway)
    {
        Execute(string.Create(CultureInfo.InvariantCulture, $"for way in '' -R; do iperf3 -c {gateway} -p {host.MeasuringPort} -P 4 -n 32M $way >/tmp/iperf3 2>&1 || {{ cat /tmp/iperf3 >&2; exit 1; }}; done"));
    }

    // While fio writes to another disk and verifies it.
    private void CheckComingAndGoing()
    {
        const string Addresses = "ip -4 -o addr show scope global | wc -l";
        Execute("systemd-run --quiet --unit=load fio --name=load --filename=$(cat /run/disk) --rw=randwrite --bs=4k-64k --iodepth=16 --ioengine=libaio --direct=1 --size=48M --loops=1000 --verify=crc32c --verify_fatal=1");
        string added = MakeDisk("third.raw", AddedSize);
        string name = Run("device", "add", Machine, "--disk", added).Split(' ')[0];
        string sum = Execute("""
            until disk=$(lsblk -bdnro NAME,SIZE | awk '$2 == 16777216 { print $1 }'); [ -b "/dev/$disk" ]; do sleep 0.1; done
            fio --name=added --filename=/dev/$disk --rw=randwrite --bs=4k-64k --iodepth=16 --ioengine=libaio --direct=1 --size=16M --verify=crc32c --verify_fatal=1 >/tmp/fio 2>&1 || { cat /tmp/fio >&2; exit 1; }
            blockdev --flushbufs /dev/$disk
            sha256sum </dev/$disk
            """)[..64];
        string card = Run("device", "add", Machine, "--net", "user").Split(' ')[0];
        Execute($"until [ $({Addresses}) = 2 ]; do sleep 0.1; done");
        Run("device", "remove", Machine, name);
        Run("device", "remove", Machine, card);
        Execute($"until [ $({Addresses}) = 1 ]; do sleep 0.1; done; until [ -z \"$(lsblk -bdnro NAME,SIZE | awk '$2 == 16777216')\" ]; do sleep 0.1; done");
        Assert.Equal(sum, Hash(added));
        Assert.Equal("active\n", Execute("systemctl is-active load; systemctl stop load"));
    }

    // To idle, as deep as these machines have it: its card stops and goes on, and a command that ends meanwhile is told as ended. What wakes it is its serial port; a byte that comes before it sleeps keeps it awake. Under Xen Linux's interrupts wake nothing.
    private void CheckSuspend(string personality)
    {
        if (personality == "xen")
        {
            return;
        }

        using Process console = Process.Start(new ProcessStartInfo("dotnet", ["exec", LaminaProcess.Program, "console", Machine])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            Environment = { ["XDG_RUNTIME_DIR"] = _environment["XDG_RUNTIME_DIR"] },
        })!;
        console.OutputDataReceived += static (_, _) => { };
        console.BeginOutputReadLine();
        try
        {
            string result = "";
            for (int i = 1; i <= 3 && result != "1\n"; i++)
            {
                Execute("echo enabled >/sys/class/tty/ttyS0/power/wakeup");
                Task<string> command = Task.Run(() => Execute("systemd-run --quiet sh -c 'sleep 0.1; echo freeze >/sys/power/state'; sleep 0.2"));
                Until(() => Count("printk: Suspending console(s)") >= i, "The guest does not suspend itself.");
                Until(
                    () =>
                    {
                        Type("");
                        return Count("PM: suspend exit") >= i;
                    },
                    "The guest does not wake.");
                Assert.True(command.Wait(Patience), "A command that ended while the guest suspended itself is waited for.");
                Assert.Equal("", command.Result);
                result = Execute("cat /sys/power/suspend_stats/success");
            }

            Assert.Equal("1\n", result);
        }
        finally
        {
            console.Kill();
            console.WaitForExit();
        }

        void Type(string line)
        {
            console.StandardInput.WriteLine(line);
            console.StandardInput.Flush();
        }

        int Count(string words) => Run("logs", Machine).Split(words).Length - 1;
    }

    // Its time of day is set when the machine goes on.
    private void CheckTime(string personality)
    {
        if (personality != "xen")
        {
            WaitForHeartbeat(personality);
            Execute("date -s '-1 hour'");
            Run("pause", Machine);
            Run("resume", Machine);
            long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            Execute(string.Create(CultureInfo.InvariantCulture, $"for i in $(seq 100); do [ $(date +%s) -ge {now - 2} ] && exit; sleep 0.2; done; date >&2; exit 1"));
        }

        Assert.InRange(long.Parse(Execute("date +%s"), CultureInfo.InvariantCulture) - DateTimeOffset.UtcNow.ToUnixTimeSeconds(), -5, 5);
    }

    // What the guest says of itself is what programs in it say.
    private void CheckReport(string personality)
    {
        if (personality == "xen")
        {
            return;
        }

        string address = Execute("ip -4 -o addr show scope global | awk '{ sub(\"/.*\", \"\", $4); print $4; exit }'").Trim();
        JsonElement guest = default;
        Until(
            () =>
            {
                // Asked for it, a guest of Hyper-V says it within half a minute.
                guest = Report();
                return guest.GetProperty("operatingSystem").GetString() != "" && (!IsWhole || guest.GetProperty("addresses").EnumerateArray().Any(a => a.GetString() == address));
            },
            $"The guest does not say what it is, and that it has {address}.");
        string system = personality == "vmware" ? Execute(". /etc/os-release; echo $PRETTY_NAME") : Execute(". /etc/os-release; echo $NAME, kernel $(uname -r | cut -d - -f 1)");
        Assert.Equal(("alive", system.Trim()), (guest.GetProperty("heartbeat").GetString(), guest.GetProperty("operatingSystem").GetString()));
        if (personality == "vmware")
        {
            Assert.Equal(Machine, guest.GetProperty("hostName").GetString());
        }
    }

    // What is discarded and zeroed is zeroes, and the host has its space again.
    private string CheckDiscard()
    {
        return Execute("""
            set -e
            disk=$(cat /run/disk)
            dd if=/dev/urandom of=$disk bs=1M seek=48 count=16 oflag=direct 2>/dev/null
            blkdiscard -o $((48 << 20)) -l $((8 << 20)) $disk
            blkdiscard -z -o $((56 << 20)) -l $((4 << 20)) $disk
            cmp -n $((12 << 20)) -i $((48 << 20)):0 $disk /dev/zero >&2
            blockdev --flushbufs $disk
            sha256sum <$disk
            """)[..64];
    }

    private static void CheckImage(string disk, string sum)
    {
        Assert.Equal(sum, Hash(disk));
        using FileStream file = File.OpenRead(disk);
        byte[] end = new byte[16 << 20];
        file.Seek(48 << 20, SeekOrigin.Begin);
        file.ReadExactly(end);
        Assert.False(end.AsSpan(0, 12 << 20).ContainsAnyExcept((byte)0), "The image holds what was discarded.");
        Assert.True(end.AsSpan(12 << 20).ContainsAnyExcept((byte)0), "The image does not hold what was written.");
        using Process process = Process.Start(new ProcessStartInfo("stat", ["-c", "%b", disk]) { RedirectStandardOutput = true })!;
        Assert.InRange(long.Parse(process.StandardOutput.ReadToEnd(), CultureInfo.InvariantCulture) * 512, 1, 54 << 20);
    }

    private void WaitForHeartbeat(string personality)
    {
        if (personality != "xen")
        {
            Until(() => Report().GetProperty("heartbeat").GetString() == "alive", "The guest does not answer its heartbeat.");
        }
    }

    private JsonElement Report()
    {
        using JsonDocument status = JsonDocument.Parse(Run("status", Machine, "--json"));
        return status.RootElement.GetProperty("guest").Clone();
    }

    // Each question is a process, which takes its time.
    private void Until(Func<bool> condition, string complaint)
    {
        Stopwatch time = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(time.Elapsed < Patience, $"{complaint}\n{Run("status", Machine)}{Run("logs", Machine)}");
        }
    }

    private string Execute(string script)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "exec", "--wait", "120", Machine, "--", "bash", "-c", script);
        Assert.True(result.Status == 0, $"{script}\nended with {result.Status}: {result.Error}{result.Text}");
        return result.Text.ReplaceLineEndings("\n");
    }

    private string Run(params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, arguments);
        Assert.True(result.Status == 0, $"lamina {string.Join(' ', arguments)} ended with {result.Status}: {result.Error}{result.Text}");
        return result.Text;
    }

    private string MakeDisk(string name, int length)
    {
        string path = Path.Combine(_directory, name);
        using FileStream file = File.Create(path);
        file.SetLength(length);
        return path;
    }

    private static string Hash(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
