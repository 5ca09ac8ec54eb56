using System.Buffers.Binary;
using Lamina.Interop.Files;
using Lamina.Interop.Networks;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Limits;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Devices;

/// <summary>Devices that come and go, with a guest that a test plays.</summary>
public sealed class DeviceChangeTests : IDisposable
{
    private const ulong Identities = 0xb000_0000;
    private const int DeviceShift = 15;
    private const uint BlockIdentity = 0x1042_1af4;
    private const ulong HotPlug = 0xae00;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-changes").FullName;
    private FakeAccelerator _accelerator = CreateAccelerator();

    private AddressSpace Mmio => _accelerator.Settings!.Mmio;

    private AddressSpace Ports => _accelerator.Settings!.Ports;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void ADiskComesAndGoesWithTheGuestsConsent()
    {
        using VirtualMachine machine = Start();
        Assert.Equal("disk1", machine.AttachDisk(MakeDisk("second")));
        Assert.Equal(BlockIdentity, Identify(3));
        Assert.Equal(1u << 3, ReadPort(HotPlug));
        Assert.Equal([(0, 1), (1, 3)], machine.CurrentSettings.Disks.Select(d => (d.Number!.Value, d.Slot!.Value)));

        // The guest does not answer, and then it does.
        Assert.False(machine.Detach("disk1", TimeSpan.Zero));
        Assert.Equal(1u << 3, ReadPort(HotPlug + 4));
        WritePort(HotPlug + 8, 1u << 3);
        Assert.True(SpinWait.SpinUntil(() => machine.CurrentSettings.Disks.Count == 1, Patience));
        Assert.Equal(uint.MaxValue, Identify(3));

        // Its file is free, its name and its slot, too.
        Assert.Equal("disk1", machine.AttachDisk(MakeDisk("second")));
        Assert.Equal(BlockIdentity, Identify(3));
    }

    [Fact]
    public void ADiskThatTheGuestKeepsGoesWithTheReset()
    {
        using VirtualMachine machine = Start();
        Assert.False(machine.Detach("disk0", TimeSpan.Zero));
        Assert.Equal(BlockIdentity, Identify(1));
        machine.PressResetButton();
        Assert.True(SpinWait.SpinUntil(() => machine.CurrentSettings.Disks.Count == 0, Patience));
        Assert.Equal(uint.MaxValue, Identify(1));
    }

    [Fact]
    public void AGuestMayEjectByItselfAndThatIsTold()
    {
        MachineSettings settings;
        using ManualResetEventSlim told = new();
        string? message = null;
        using (VirtualMachine machine = Start())
        {
            machine.Noticed += m =>
            {
                message = m;
                told.Set();
            };
            WritePort(HotPlug + 8, uint.MaxValue);
            Assert.True(told.Wait(Patience, TestContext.Current.CancellationToken));
            Assert.Contains("disk0", message, StringComparison.Ordinal);
            settings = machine.CurrentSettings;
        }

        Assert.Empty(settings.Disks);
        Assert.Equal([1], settings.EmptySlots);

        // The entropy source stays where it was, also in a machine that is made anew.
        Assert.Equal(0x1044_1af4u, Identify(2));
        _accelerator = CreateAccelerator();
        using VirtualMachine second = new(settings with { Accelerator = _accelerator });
        Assert.Equal(0x1044_1af4u, Identify(2));
        second.Start();
        Assert.Equal("disk0", second.AttachDisk(MakeDisk("second")));
        Assert.Equal(BlockIdentity, Identify(1));
    }

    [Fact]
    public void ADiskGrowsWhileTheMachineRuns()
    {
        using VirtualMachine machine = Start();
        machine.ResizeDisk("disk0", 2 << 20);
        Assert.Equal(2 << 20, new FileInfo(Path.Combine(_directory, "first")).Length);
        Assert.Contains("can be given more", Assert.Throws<MachineConfigurationException>(() => machine.ResizeDisk("disk0", 1 << 20)).Message, StringComparison.Ordinal);
        Assert.Throws<MachineConfigurationException>(() => machine.ResizeDisk("disk0", (2 << 20) + 1));
    }

    [Fact]
    public void LimitsBelongToADeviceByItsName()
    {
        using VirtualMachine machine = Start();
        Assert.Equal("disk1", machine.AttachDisk(MakeDisk("second")));
        IoLimits limits = new() { OperationsPerSecond = 5, BurstMilliseconds = 7 };
        machine.SetLimits("disk1", limits);
        Assert.Equal([IoLimits.None, limits], machine.CurrentSettings.Disks.Select(static d => d.Limits));
        Assert.Equal(["disk0", "disk1"], machine.DiskTraffic.Select(static t => t.Device));
        Assert.Contains("it has disk0, disk1", Assert.Throws<MachineConfigurationException>(() => machine.SetLimits("disk2", limits)).Message, StringComparison.Ordinal);
        machine.SetLimits("disk1", IoLimits.None);
        Assert.Equal([IoLimits.None, IoLimits.None], machine.CurrentSettings.Disks.Select(static d => d.Limits));
    }

    [Theory]
    [InlineData(PersonalityKind.HyperV)]
    [InlineData(PersonalityKind.Xen)]
    [InlineData(PersonalityKind.VMware)]
    public void LimitsOfAnotherPersonalitysDiskAreChangedByTheSameName(PersonalityKind personality)
    {
        using VirtualMachine machine = new(TestMachine.Settings(_accelerator) with { Disks = [MakeDisk("first"), MakeDisk("second")], Personality = personality });
        machine.Start();
        IoLimits limits = new() { OperationsPerSecond = 5, BurstMilliseconds = 7 };
        machine.SetLimits("disk1", limits);
        Assert.Equal([IoLimits.None, limits], machine.CurrentSettings.Disks.Select(static d => d.Limits));
        Assert.Equal(["disk0", "disk1"], machine.DiskTraffic.Select(static t => t.Device));
        Assert.Contains("it has disk0, disk1", Assert.Throws<MachineConfigurationException>(() => machine.SetLimits("disk2", limits)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ACardOfHyperVComesAndGoesAndLeavesItsPlace()
    {
        using StreamPair pair = new();
        using OwnedDescriptor end = pair.Own;
        using VirtualMachine machine = new(TestMachine.Settings(_accelerator) with { Personality = PersonalityKind.HyperV });
        machine.Start();
        NetworkSettings card = new() { Wires = [new PassedFile(BlockFile.Duplicate(pair.ShareOther()), "wire")] };
        Assert.Equal("net0", machine.AttachNetwork(card));
        Assert.Equal([0], machine.CurrentSettings.Networks.Select(static n => n.Number!.Value));
        Assert.Contains("Only virtio's", Assert.Throws<MachineConfigurationException>(() => machine.AttachNetwork(new NetworkSettings { QueuePairs = 2 })).Message, StringComparison.Ordinal);

        // No driver knows it, whom one would have to ask.
        Assert.True(machine.Detach("net0", Patience));
        Assert.Empty(machine.CurrentSettings.Networks);
        Assert.Contains("'net0'", Assert.Throws<MachineConfigurationException>(() => machine.Detach("net0", TimeSpan.Zero)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatCannotBeIsNamedAndChangesNothing()
    {
        using (VirtualMachine mapped = new(TestMachine.Settings(_accelerator) with { Transport = VirtioTransport.Mmio }))
        {
            Assert.Contains("not been started", Assert.Throws<MachineConfigurationException>(() => mapped.AttachDisk(MakeDisk("second"))).Message, StringComparison.Ordinal);
            mapped.Start();
            Assert.Contains("memory-mapped", Assert.Throws<MachineConfigurationException>(() => mapped.AttachDisk(MakeDisk("second"))).Message, StringComparison.Ordinal);
        }

        _accelerator = CreateAccelerator();
        using VirtualMachine machine = Start();
        Assert.Contains("nowhere", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(new DiskSettings { Path = "/nowhere" })).Message, StringComparison.Ordinal);
        Assert.Contains("taken", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(MakeDisk("second") with { Slot = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("two devices", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(MakeDisk("second") with { Number = 0 })).Message, StringComparison.Ordinal);
        Assert.Contains("no PCI slot", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(MakeDisk("second") with { Slot = 32 })).Message, StringComparison.Ordinal);
        Assert.Contains("one stream", Assert.Throws<MachineConfigurationException>(() => machine.AttachNetwork(new NetworkSettings { QueuePairs = 2 })).Message, StringComparison.Ordinal);
        Assert.Contains("1 to 8", Assert.Throws<MachineConfigurationException>(() => machine.AttachNetwork(new NetworkSettings { Kind = NetworkKind.Tap, Name = "none", QueuePairs = 9 })).Message, StringComparison.Ordinal);
        Assert.Contains("it has disk0", Assert.Throws<MachineConfigurationException>(() => machine.Detach("disk7", TimeSpan.Zero)).Message, StringComparison.Ordinal);
        Assert.Single(machine.CurrentSettings.Disks);

        // What was refused has let its file go.
        for (int i = 1; i < 30; i++)
        {
            Assert.Equal($"disk{i}", machine.AttachDisk(MakeDisk($"disk{i}")));
        }

        Assert.Contains("31", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(MakeDisk("second"))).Message, StringComparison.Ordinal);
        machine.Quit();
        machine.WaitForEndSoon();
        Assert.Contains("has ended", Assert.Throws<MachineConfigurationException>(() => machine.AttachDisk(MakeDisk("second"))).Message, StringComparison.Ordinal);
    }

    private static FakeAccelerator CreateAccelerator() => new(_ => TestMachine.Halted);

    private VirtualMachine Start()
    {
        VirtualMachine machine = new(TestMachine.Settings(_accelerator) with { Disks = [MakeDisk("first")] });
        machine.Start();
        return machine;
    }

    private DiskSettings MakeDisk(string name)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllBytes(path, new byte[1 << 20]);
        return new DiskSettings { Path = path, Format = Storage.DiskFormat.Raw };
    }

    private uint Identify(int slot) => Read(Mmio, Identities + ((ulong)slot << DeviceShift));

    private uint ReadPort(ulong port) => Read(Ports, port);

    private void WritePort(ulong port, uint value)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Ports.Write(port, data);
    }

    private static uint Read(AddressSpace space, ulong address)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        space.Read(address, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }
}
