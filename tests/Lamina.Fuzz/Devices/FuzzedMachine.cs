using System.Net.Sockets;
using Lamina.Boot;
using Lamina.Boot.Cpu;
using Lamina.Boot.Tests.Images;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.Vmm;
using Lamina.Vmm.Devices;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Fuzz.Devices;

/// <summary>A machine with one of each device that a personality has, made as the product makes it, and whose processors do nothing: what a guest does is done by the test.</summary>
internal sealed class FuzzedMachine : IDisposable
{
    public const ulong RamLength = 16 << 20;

    /// <summary>The host's port at which connections of the guest's sockets are taken, and not answered.</summary>
    public const uint ListeningPort = 80;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-fuzz").FullName;
    private readonly FakeAccelerator _accelerator = new(static _ => new ProcessorExit(ProcessorExitReason.Halted));
    private readonly List<IDisposable> _ends = [];
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly MachineController _controller;
    private StreamPair? _second;

    public FuzzedMachine(PersonalityKind personality, VirtioTransport transport, int generation)
    {
        bool isPc = generation == 1;
        string shared = Directory.CreateDirectory(Path.Combine(_directory, "shared")).FullName;
        File.WriteAllText(Path.Combine(shared, "file"), "content");
        MachineSettings settings = new()
        {
            Accelerator = _accelerator,
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create([0xf4], 0x20_0000), "kernel") },
            MemorySize = RamLength,
            ProcessorCount = 2,
            Personality = personality,
            Transport = transport,
            Generation = generation,
            HasTestDevices = isPc,
            Disks = [MakeDisk("first.raw", isReadOnly: false), MakeDisk("second.raw", isReadOnly: true)],
            Networks = personality == PersonalityKind.VMware || transport == VirtioTransport.Pci ? [MakeNetwork()] : [],
            Shares = isPc ? [new ShareSettings { Path = shared, Tag = "share" }] : [],
            Sockets = new SocketSettings { Address = 3, Path = Path.Combine(_directory, "guest") },
            Screen = personality is (PersonalityKind.HyperV or PersonalityKind.Xen) ? new ScreenSettings() : null,
            Console = isPc ? Vmm.Serial.NullCharacterOutput.Instance : null,
            Ports = !isPc ? [] : [new PortSettings { Name = "port", Output = Vmm.Serial.NullCharacterOutput.Instance }],
            Balloon = new BalloonSettings { Target = 4 << 20, ReportsFreePages = true },
        };
        _ends.Add(_listener);
        _listener.Bind(new UnixDomainSocketEndPoint($"{settings.Sockets.Path}_{ListeningPort}"));
        _listener.Listen(64);
        try
        {
            _controller = new MachineController(settings, CpuModel.Find("x86-64-v2")!);
        }
        catch
        {
            Clean();
            throw;
        }

        _controller.Devices.Start();
    }

    public DeviceCatalog Devices => _controller.Devices;

    public PartitionSettings Partition => _accelerator.Settings!;

    public GuestMemory Memory => Partition.Memory;

    public AddressSpace Ports => Partition.Ports;

    public AddressSpace Mmio => Partition.Mmio;

    /// <summary>How often the processors were told of interrupts.</summary>
    public int Interrupts => _accelerator.Processors.Sum(static p => p.Interrupts);

    /// <summary>Has a second network card come, or go as far as the guest lets it. Only for a personality whose cards can.</summary>
    public void ChangeCard()
    {
        ParavirtualCatalog own = Devices.Paravirtual!;
        INetworkPlaces places = own.NetworkPlaces!;
        if (own.AttachedNetworks.FirstOrDefault(static n => n.Number == 1) is not { } network)
        {
            _second = new StreamPair();
            own.Insert(own.CreateNetwork(MakeNetwork(_second) with { Number = 1 }, places.Count, places.MaximumQueuePairs), places);
        }
        else if (!places.IsLeaving(network))
        {
            places.RequestRemoval(network);
        }
        else if (places.IsGivenUp(network))
        {
            own.Remove(network, places);
            _second?.Own.Dispose();
            _second?.Dispose();
        }
    }

    public void Dispose()
    {
        _controller.Devices.Stop();
        _controller.Dispose();
        Clean();
    }

    private DiskSettings MakeDisk(string name, bool isReadOnly)
    {
        string path = Path.Combine(_directory, name);
        using FileStream file = new(path, FileMode.CreateNew);
        file.SetLength(1 << 20);
        return new DiskSettings { Path = path, IsReadOnly = isReadOnly };
    }

    // A wire whose other end takes what comes until it is full, and says nothing.
    private NetworkSettings MakeNetwork()
    {
        StreamPair pair = new();
        _ends.Add(pair);
        _ends.Add(pair.Own);
        return MakeNetwork(pair);
    }

    private static NetworkSettings MakeNetwork(StreamPair pair) => new() { Wires = [new PassedFile(BlockFile.Duplicate(pair.ShareOther()), "wire")] };

    private void Clean()
    {
        _second?.Own.Dispose();
        _second?.Dispose();
        _ends.ForEach(static e => e.Dispose());
        Directory.Delete(_directory, recursive: true);
    }
}
