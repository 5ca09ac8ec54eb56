using Lamina.Machine.Limits;
using Lamina.SoftCpu;
using Lamina.Storage;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>A snapshot tells what its machine would use of the host: disks that are not copied, what copied ones rest on, shared folders, sockets. A machine with shared folders goes on with them.</summary>
public sealed class HostResourceTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-resources").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_is_outside_of_a_snapshot_is_named()
    {
        string only = Path.Combine(_directory, "only.raw");
        string below = Path.Combine(_directory, "below.raw");
        string top = Path.Combine(_directory, "top.qcow2");
        string own = Path.Combine(_directory, "own.raw");
        string folder = Directory.CreateDirectory(Path.Combine(_directory, "folder")).FullName;
        foreach (string path in new[] { only, below, own })
        {
            File.WriteAllBytes(path, new byte[1 << 20]);
        }

        DiskImages.Create(top, DiskFormat.Qcow2, null, below);
        string snapshot = Path.Combine(_directory, "snapshot");
        MachineSettings settings = TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Disks = [new DiskSettings { Path = only, IsReadOnly = true }, new DiskSettings { Path = top, Format = DiskFormat.Qcow2 }, new DiskSettings { Path = own }],
            Shares = [new ShareSettings { Path = folder, Tag = "files" }],
        };
        using (VirtualMachine machine = new(settings))
        {
            machine.Start();
            machine.Snapshot(snapshot);
        }

        using MachineSnapshot saved = MachineSnapshot.Open(snapshot);
        Assert.Equal(
            [new HostResource(HostResourceKind.Disk, only), new HostResource(HostResourceKind.Disk, below), new HostResource(HostResourceKind.Share, folder)],
            saved.FindHostResources());

        Assert.NotEqual(0, StartAgain(saved, folder));
        Directory.Delete(folder);
        Assert.Throws<MachineConfigurationException>(() => StartAgain(saved, folder));
    }

    [Fact]
    public void What_a_disk_may_ask_of_the_host_stays_as_it_was_at_last()
    {
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        string snapshot = Path.Combine(_directory, "snapshot");
        IoLimits limits = new() { OperationsPerSecond = 300, BytesPerSecond = 5 << 20, BurstMilliseconds = 40 };
        MachineSettings settings = TestMachine.Settings(new InterpreterAccelerator()) with { Disks = [new DiskSettings { Path = disk, OnNoSpace = WriteErrorPolicy.Wait }] };
        using (VirtualMachine machine = new(settings))
        {
            machine.Start();
            machine.SetLimits("disk0", limits);
            machine.Snapshot(snapshot);
        }

        using MachineSnapshot saved = MachineSnapshot.Open(snapshot);
        DiskSettings restored = Assert.Single(SnapshotSettings.Create(saved, new InterpreterAccelerator()).Disks);
        Assert.Equal(limits, restored.Limits);
        Assert.Equal(WriteErrorPolicy.Wait, restored.OnNoSpace);
    }

    [Fact]
    public void A_disk_with_persistent_grants_has_them_in_a_restored_machine()
    {
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        string snapshot = Path.Combine(_directory, "snapshot");
        MachineSettings settings = TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Personality = PersonalityKind.Xen,
            Disks = [new DiskSettings { Path = disk, HasPersistentGrants = true }],
        };
        using (VirtualMachine machine = new(settings))
        {
            machine.Start();
            machine.Snapshot(snapshot);
        }

        using MachineSnapshot saved = MachineSnapshot.Open(snapshot);
        Assert.True(Assert.Single(SnapshotSettings.Create(saved, new InterpreterAccelerator()).Disks).HasPersistentGrants, "The snapshot has forgotten them.");
    }

    // Only what is read is used again: the others would be locked.
    private static long StartAgain(MachineSnapshot saved, string folder)
    {
        MachineSettings settings = SnapshotSettings.Create(saved, new InterpreterAccelerator());
        Assert.Equal(folder, Assert.Single(settings.Shares).Path);
        using VirtualMachine machine = new(settings);
        Assert.Equal(0, machine.FirstEntry);
        long before = System.Diagnostics.Stopwatch.GetTimestamp();
        machine.Start();
        Assert.True(SpinWait.SpinUntil(() => machine.FirstEntry != 0, TimeSpan.FromSeconds(20)), "no processor went into the guest");
        Assert.InRange(machine.FirstEntry, before, System.Diagnostics.Stopwatch.GetTimestamp());
        return machine.FirstEntry;
    }
}
