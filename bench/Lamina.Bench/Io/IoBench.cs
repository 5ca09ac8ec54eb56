using System.Diagnostics;
using System.Globalization;
using System.Text;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Systems;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Bench.Io;

/// <summary>
/// Disks, networks and shared folders as a Debian guest sees them: the same image, kernel and initramfs under Lamina's translator and QEMU's TCG in turn, with fio, iperf3, find and tar in the
/// guest. What a host lacks is left out, and said.
/// </summary>
internal static class IoBench
{
    private const int OverlayCount = 50;
    private const ulong DiskSize = 256UL << 20;
    private const string TapAddress = "198.18.78.1";

    // Output goes straight to the console: one line a figure.
    private const string Begin = """
        r() { echo "BENCH $*" >/dev/ttyS0; }
        r ready 0
        find_disk() { for d in /sys/block/*; do [ "$(cat $d/size)" = 524288 ] && echo ${d##*/}; done; }

        """;

    private const string BlockScript = """
        for disk in DISKS; do
            dev=/dev/${disk%:*}
            dd if=/dev/zero of=$dev bs=1M count=256 oflag=direct 2>/dev/null
            for rw in read write randread randwrite; do
                for depth in 1 32; do
                    case $rw in rand*) bs=4k ;; *) bs=128k ;; esac
                    line=$(fio --name=x --filename=$dev --rw=$rw --bs=$bs --iodepth=$depth --ioengine=libaio --direct=1 --time_based --runtime=3 --size=256M --output-format=terse --terse-version=3)
                    case $rw in *read) n=7 ;; *) n=48 ;; esac
                    r block-${disk#*:}-$rw-$depth $(echo "$line" | cut -d';' -f$n)
                done
            done
        done

        """;

    private const string NetworkScript = """
        nic=$(ls /sys/class/net | grep -v lo | head -1)
        ip link set $nic up
        ip addr add 198.18.78.2/24 dev $nic
        for way in send receive send receive send receive; do
            [ $way = receive ] && reverse=-R || reverse=
            r net-$way $(iperf3 -c 198.18.78.1 -t 5 -O 1 $reverse -f k | awk '/receiver/ { print $7 }')
        done

        """;

    // What the guest has learned of files is dropped before each find.
    private const string FindScript = """
        mkdir -p /src
        mount -t virtiofs TAG /src
        now() { cut -d' ' -f1 /proc/uptime; }
        for i in 1 2 3 4 5; do
            echo 2 >/proc/sys/vm/drop_caches
            a=$(now); find /src | wc -l >/dev/null; b=$(now)
            r share-find $(echo "$a $b" | awk '{ print $2 - $1 }')
        done

        """;

    private const string TarScript = """
        a=$(now); tar cf - -C /src . | wc -c >/dev/null; b=$(now)
        r share-tar $(echo "$a $b" | awk '{ print $2 - $1 }')

        """;

    private const string End = "r done 0\n";

    /// <summary>The same guest, back ends and accelerator, with the disk and the network card of each hypervisor that a guest can see.</summary>
    public static List<Figure> RunPersonalities(int runs, string only) => Run(runs, $"{GetParts(only)},start", GetPersonalities(only));

    public static List<Figure> Run(int runs, string parts) => Run(runs, parts, [.. Subjects()]);

    private static List<Figure> Run(int runs, string parts, IReadOnlyList<string> subjects)
    {
        SystemImage image = SystemImageStore.Open().Find(SystemImageName.Parse("debian"))
            ?? throw new InvalidOperationException("There is no image 'debian'. Build it with: lamina image build debian --include fio,iperf3");
        string directory = Directory.CreateTempSubdirectory("lamina-io-").FullName;
        try
        {
            Dictionary<(string Name, string Subject), List<double>> all = [];
            if (parts.Contains("start", StringComparison.Ordinal) && !parts.Contains("block-raw", StringComparison.Ordinal))
            {
                MeasureOverlays(image, directory, all);
            }

            for (int run = 0; run < runs; run++)
            {
                foreach (string subject in subjects)
                {
                    foreach ((string name, double value) in RunOnce(image, directory, subject, parts))
                    {
                        all.TryAdd((name, subject), []);
                        all[(name, subject)].Add(value);
                    }
                }
            }

            return [.. all.OrderBy(a => a.Key.Name, StringComparer.Ordinal).Select(a => Figure.Of(a.Key.Name, a.Key.Subject, GetUnit(a.Key.Name), a.Value))];
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static string[] GetPersonalities(string only)
    {
        string[] all = [.. Enum.GetNames<PersonalityKind>().Select(static n => n.ToLowerInvariant())];
        string[] named = [.. all.Where(only.Split(',').Contains)];
        return named.Length == 0 ? all : named;
    }

    private static string GetParts(string only) => only.Split(',') switch
    {
        var words when words.Contains("net") && !words.Contains("block") => "net",
        var words when words.Contains("block") && !words.Contains("net") => "block-raw",
        _ => "block-raw,net",
    };

    // The native program is what people run; without it, this process does.
    private static IEnumerable<string> Subjects()
    {
        yield return NativeProgram.Find() != null ? IoMachine.NativeSubject : IoMachine.Subject;
        if (IoMachine.HasQemu)
        {
            yield return IoMachine.PeerSubject;
        }
    }

    private static string GetUnit(string name)
    {
        return name.StartsWith("block", StringComparison.Ordinal) ? "KiB/s" : name.StartsWith("net", StringComparison.Ordinal) ? "kbit/s" : name.StartsWith("overlay", StringComparison.Ordinal) ? "ms" : "s";
    }

    private static void MeasureOverlays(SystemImage image, string directory, Dictionary<(string, string), List<double>> all)
    {
        List<double> times = [];
        for (int i = 0; i < OverlayCount; i++)
        {
            string path = Path.Combine(directory, "overlay.qcow2");
            long start = Stopwatch.GetTimestamp();
            DiskImages.Create(path, DiskFormat.Qcow2, null, image.GetPath(SystemImage.DiskFile));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            File.Delete(path);
        }

        all[("overlay over the image's disk", "lamina")] = times;
    }

    private static List<(string Name, double Value)> RunOnce(SystemImage image, string directory, string subject, string parts)
    {
        PersonalityKind personality = Enum.TryParse(subject, ignoreCase: true, out PersonalityKind kind) ? kind : PersonalityKind.Kvm;
        bool rawAlone = parts.Contains("block-raw", StringComparison.Ordinal);
        bool block = parts.Contains("block", StringComparison.Ordinal);
        bool direct = !block && parts.Contains("direct", StringComparison.Ordinal);
        bool tar = parts.Contains("share", StringComparison.Ordinal);
        bool share = (tar || parts.Contains("find", StringComparison.Ordinal)) && (subject != IoMachine.PeerSubject || IoMachine.HasSharingPeer);
        using IoTap? tap = parts.Contains("net", StringComparison.Ordinal) ? IoTap.TryMake("laminabench0", TapAddress) : null;
        string script = $"{Begin}{(block ? BlockScript.Replace("DISKS", rawAlone ? "$(find_disk):raw" : "vdb:raw vdc:qcow2", StringComparison.Ordinal) : direct ? BlockScript.Replace("DISKS", "vdb:direct", StringComparison.Ordinal) : "")}{(tap != null ? NetworkScript : "")}{(share ? FindScript.Replace("TAG", ShareArgument.GetTag(0), StringComparison.Ordinal) : "")}{(share && tar ? TarScript : "")}{End}";
        ImageSession session = new() { Mode = SessionMode.Command, HostName = "bench", Hardware = GetHardware(personality), Command = ["sh"u8.ToArray(), "-c"u8.ToArray(), Encoding.UTF8.GetBytes(script)] };
        IoMachine machine = new()
        {
            Kernel = image.GetPath(SystemImage.KernelFile),
            Initrd = Path.Combine(directory, "initrd"),
            Directory = directory,
            System = Path.Combine(directory, "system.qcow2"),
            Personality = personality,
            Disks = rawAlone ? [(Path.Combine(directory, "raw.img"), DiskFormat.Raw)] : block ? [(Path.Combine(directory, "raw.img"), DiskFormat.Raw), (Path.Combine(directory, "disk.qcow2"), DiskFormat.Qcow2)] : direct ? [(Path.Combine(directory, "raw.img"), DiskFormat.Raw)] : [],
            IsDirect = direct,
            Tap = tap?.Name,
            Share = share ? GetTree() : null,
        };
        File.WriteAllBytes(machine.Initrd, SystemInitramfs.Build(image, session));
        foreach ((string path, DiskFormat format) in machine.Disks.Append((machine.System, DiskFormat.Qcow2)))
        {
            File.Delete(path);
            DiskImages.Create(path, format, path == machine.System ? null : DiskSize, path == machine.System ? image.GetPath(SystemImage.DiskFile) : null);
        }

        List<(string Name, double Value)> results = [];
        long start = Stopwatch.GetTimestamp();
        machine.Run(subject, line =>
        {
            string[] words = line.Split(' ');
            if (words is ["BENCH", "ready", _])
            {
                results.Add(("start to systemd's default target", Stopwatch.GetElapsedTime(start).TotalSeconds));
            }
            else if (words is ["BENCH", "done", _])
            {
                return false;
            }
            else if (words is ["BENCH", _, _] && double.TryParse(words[2], CultureInfo.InvariantCulture, out double value))
            {
                results.Add((words[1], value));
                Console.Error.WriteLine($"{subject}: {words[1]} {words[2]}");
            }

            return true;
        });
        return results;
    }

    private static GuestHardware GetHardware(PersonalityKind personality) => GuestHardware.Disk | GuestHardware.Network | personality switch
    {
        PersonalityKind.VMware => GuestHardware.VMware,
        PersonalityKind.HyperV => GuestHardware.HyperV,
        PersonalityKind.Xen => GuestHardware.Xen,
        _ => GuestHardware.None,
    };

    // A tree of a few thousand files that every host with the SDK has.
    private static string GetTree()
    {
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        string sdk = Path.GetFullPath(Path.Combine(runtime, "../../../sdk"));
        return Directory.Exists(sdk) ? Directory.EnumerateDirectories(sdk).Order(StringComparer.Ordinal).Last() : runtime;
    }
}
