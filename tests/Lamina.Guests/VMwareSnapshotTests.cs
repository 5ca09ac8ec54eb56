using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>A Debian guest under VMware's personality that writes and checks its disk without end is saved, and goes on from there with its adapter, its card and its files.</summary>
public sealed class VMwareSnapshotTests
{
    [Fact]
    public void A_busy_guest_of_VMware_goes_on_with_its_disk_and_its_files()
    {
        using WorkingGuest guest = new();
        guest.Start("vmware");
        guest.SaveAndRestore();
        Assert.Contains("Hypervisor detected: VMware", guest.Execute(WorkingGuest.Restored, "dmesg"), StringComparison.Ordinal);
        Assert.Contains("vmw_pvscsi", guest.Execute(WorkingGuest.Restored, "readlink /sys/bus/pci/devices/0000:00:1f.0/driver"), StringComparison.Ordinal);
    }
}
