using System.Net.Sockets;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Interop.Files;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Storage;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>
/// A snapshot of each released version of the machine, with every device that can be saved, goes on under each accelerator of this build. <c>LAMINA_GOLDEN=DIRECTORY</c> has
/// <see cref="It_is_made"/> make one of the current version there, with the devices of the hypervisor that <c>LAMINA_GOLDEN_PERSONALITY</c> names, and of the generation that <c>LAMINA_GOLDEN_GENERATION</c> does; it is checked in once, when the version is released, and never changed.
/// With <c>hyperv-changed</c> for the hypervisor, it is one of Hyper-V's that got a network card and memory while it ran.
/// </summary>
public sealed class GoldenSnapshotTests : IDisposable
{
    private const string Switch = "LAMINA_GOLDEN";
    private const string PersonalitySwitch = "LAMINA_GOLDEN_PERSONALITY";
    private const string GenerationSwitch = "LAMINA_GOLDEN_GENERATION";
    private const string Changed = "hyperv-changed";
    private const ulong Memory = 4 << 20;
    private const ulong AddedMemory = 128 << 20;
    private const ulong AddedAddress = 1UL << 32;
    private const ulong AddedPage = AddedAddress >> 12;
    private const uint AddedPages = (uint)(AddedMemory >> 12);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-golden").FullName;
    private readonly List<Socket> _listeners = [];
    private readonly List<Socket> _wires = [];

    public static TheoryData<string, string> Cases
    {
        get
        {
            TheoryData<string, string> cases = [];
            foreach (string version in MachineVersion.All)
            {
                cases.Add(version, "interpreter");
                cases.Add(version, "translator");
                cases.Add(version, "kvm");
            }

            foreach (string personality in (string[])["hyperv", Changed, "xen", "vmware", "vmware-functions"])
            {
                cases.Add($"pc-1-{personality}", "interpreter");
                cases.Add($"pc-1-{personality}", "translator");
            }

            return cases;
        }
    }

    public void Dispose()
    {
        _listeners.ForEach(static s => s.Dispose());
        _wires.ForEach(static s => s.Dispose());
        Directory.Delete(_directory, recursive: true);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_machine_of_each_version_goes_on(string version, string name)
    {
        ObservedAccelerator accelerator = new(name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(),
            _ => KvmHost.FindProblem() is { } problem ? Skip(problem) : new KvmAccelerator(),
        });

        // Its disk is written to.
        string path = Path.Combine(_directory, "snapshot");
        Directory.CreateDirectory(path);
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Golden", version)))
        {
            File.Copy(file, Path.Combine(path, Path.GetFileName(file)));
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
        MachineSettings settings;
        try
        {
            settings = SnapshotSettings.Create(snapshot, accelerator);
        }
        catch (SnapshotException e) when (name == "kvm")
        {
            // Where the hardware's counters run at another frequency and cannot be scaled.
            Skip(e.Message);
            return;
        }

        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(Complete(settings) with { Serial0 = output });
        machine.Start();
        machine.Serial0.Write("a"u8);
        Assert.True(written.Wait(TimeSpan.FromSeconds(30)), "the guest does not answer");
        Assert.Equal("d", output.Text);
        Assert.Equal(2, machine.Settings.ProcessorCount);

        // Each card's address was announced to its network, in a frame with its length before it.
        for (int i = 0; i < snapshot.Manifest.Networks.Length; i++)
        {
            byte[] announced = new byte[4 + 60];
            using Socket other = _listeners[i].Accept();
            other.ReceiveTimeout = 30_000;
            Assert.Equal(announced.Length, other.Receive(announced));
            Assert.Equal(
                $"0000003cffffffffffff{snapshot.Manifest.Networks[i].HardwareAddress}8035".ToUpperInvariant(),
                Convert.ToHexString(announced.AsSpan(0, 18)));
        }

        if (version.EndsWith(Changed, StringComparison.Ordinal))
        {
            CheckChanges(machine, accelerator.Settings!);
        }

        // All of it can be saved again, and has the same parts.
        string next = Path.Combine(_directory, "next");
        machine.Snapshot(next);
        using MachineSnapshot again = MachineSnapshot.Open(next);
        Assert.Equal(snapshot.Manifest.Devices.OrderBy(static d => d.Name, StringComparer.Ordinal), again.Manifest.Devices.OrderBy(static d => d.Name, StringComparer.Ordinal));
    }

    [Fact]
    public void It_is_made()
    {
        string? target = Environment.GetEnvironmentVariable(Switch);
        Assert.SkipWhen(target == null, $"Set {Switch} to a new directory to have it made there.");
        string disk = Path.Combine(_directory, "disk");
        File.WriteAllBytes(disk, new byte[4096]);
        bool isPc = Environment.GetEnvironmentVariable(GenerationSwitch) != "2";
        string personality = Environment.GetEnvironmentVariable(PersonalitySwitch) ?? nameof(PersonalityKind.Kvm);
        bool isChanged = personality == Changed;
        ObservedAccelerator accelerator = new(new InterpreterAccelerator());
        MemoryCharacterOutput output = new();
        using ManualResetEventSlim written = new();
        output.Written += written.Set;
        using VirtualMachine machine = new(Complete(new MachineSettings
        {
            Name = "golden",
            Accelerator = accelerator,
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(EchoGuest.Echo, 0x20_0000), "program") },
            MemorySize = isChanged ? Memory + AddedMemory : Memory,
            StartMemorySize = isChanged ? Memory : null,
            ProcessorCount = 2,
            CpuModel = "x86-64-v2",
            Personality = isChanged ? PersonalityKind.HyperV : Enum.Parse<PersonalityKind>(personality, ignoreCase: true),
            Generation = isPc ? 1 : 2,
            Serial0 = output,
            HasTestDevices = isPc,
            Disks = [new DiskSettings { Path = disk, Format = DiskFormat.Raw }],
            Networks = [new NetworkSettings { Kind = NetworkKind.User, HardwareAddress = [2, 0, 0, 0, 0, 1] }],
            Console = isPc ? NullCharacterOutput.Instance : null,
            Ports = !isPc ? [] : [new PortSettings { Name = "port", Output = NullCharacterOutput.Instance }],
            Balloon = new BalloonSettings { Target = 0 },
            Sockets = new SocketSettings { Address = 3, Path = "" },
        }));
        machine.Start();
        foreach (string expected in (string[])["b", "bc"])
        {
            machine.Serial0.Write("a"u8);
            while (output.Text != expected)
            {
                Assert.True(written.Wait(TimeSpan.FromSeconds(30)), $"'{expected}' did not come, but '{output.Text}'");
                written.Reset();
            }
        }

        if (isChanged)
        {
            Change(machine, accelerator.Settings!);
        }

        machine.Snapshot(target!, new SnapshotOptions { IsCompressed = true });
    }

    // A guest that has hv_vmbus and hv_balloon gets a card, and a piece of memory into which it writes.
    private void Change(VirtualMachine machine, PartitionSettings partition)
    {
        machine.Pause();
        PlayedDriver driver = new(partition);
        driver.Connect();
        NetworkSettings second = Connect(new NetworkSettings { Kind = NetworkKind.User, HardwareAddress = [2, 0, 0, 0, 0, 2] });
        Assert.Equal("net1", machine.AttachNetwork(second));
        Assert.True(driver.TakeOffer(), "The card is not offered.");
        driver.OpenDynamicMemory(1 | 2 | (7 << 2));
        byte[] add = driver.Take()!;
        Assert.Equal((10, AddedPage | ((ulong)AddedPages << 40)), (add[0], BitConverter.ToUInt64(add, 8)));
        driver.AnswerHotAdd(AddedPages, succeeded: true);
        Assert.Equal(0UL, machine.Balloon!.Size);
        Assert.True(partition.Memory.TryWrite(AddedAddress + AddedMemory - 4096, "added"u8));
        machine.Resume();
    }

    private static void CheckChanges(VirtualMachine machine, PartitionSettings partition)
    {
        Assert.Equal(["net0", "net1"], machine.NetworkTraffic.Select(static n => n.Device));
        byte[] written = new byte[5];
        Assert.True(partition.Memory.TryRead(AddedAddress + AddedMemory - 4096, written));
        Assert.Equal("added"u8.ToArray(), written);
        Assert.Equal(0UL, machine.Balloon!.Size);

        // Its driver is heard: it gives a page of what was added, and has it again.
        machine.Pause();
        PlayedDriver driver = new(partition);
        machine.Balloon.Target = 4096;
        byte[] ask = driver.Take()!;
        Assert.Equal((6, 1u), (ask[0], BitConverter.ToUInt32(ask, 8)));
        driver.Send([7, 0, 24, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, .. BitConverter.GetBytes(AddedPage | (1UL << 40))]);
        Assert.Equal(4096UL, machine.Balloon.Size);
        machine.Balloon.Target = 0;
        byte[] back = driver.Take()!;
        Assert.Equal((8, AddedPage | (1UL << 40)), (back[0], BitConverter.ToUInt64(back, 16)));
        driver.Send([9, 0, 8, 0, 5, 0, 0, 0]);
        machine.Resume();
    }

    private static IAccelerator Skip(string reason)
    {
        Assert.Skip(reason);
        return new InterpreterAccelerator();
    }

    // What is the host's: the guest's sockets are in the test's directory.
    private MachineSettings Complete(MachineSettings settings) => settings with
    {
        Networks = [.. settings.Networks.Select(Connect)],
        Sockets = settings.Sockets! with { Path = Path.Combine(_directory, Guid.NewGuid().ToString("N")[..8]) },
    };

    // The wire of a card leads to a socket here.
    private NetworkSettings Connect(NetworkSettings settings)
    {
        string path = Path.Combine(_directory, Guid.NewGuid().ToString("N")[..8]);
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _listeners.Add(listener);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Socket wire = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _wires.Add(wire);
        wire.Connect(new UnixDomainSocketEndPoint(path));
        return settings with { Wires = [new PassedFile(BlockFile.Duplicate((int)wire.Handle), "wire")] };
    }
}
