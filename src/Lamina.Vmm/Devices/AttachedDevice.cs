using Lamina.Machine.Devices;
using Lamina.Machine.Limits;
using Lamina.Storage;
using Lamina.Virtio;
using Lamina.Virtio.Block;

namespace Lamina.Vmm.Devices;

/// <summary>A disk or a network card of a machine, and what serves it on the host.</summary>
/// <param name="device">The device.</param>
/// <param name="backends">What is closed when it goes.</param>
internal sealed class AttachedDevice(VirtioDevice device, IReadOnlyList<IDisposable> backends) : IDisposable
{
    private readonly TaskCompletionSource _removed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private DiskSettings? _disk;
    private NetworkSettings? _network;
    private bool _closed;

    public string Name => Device.Name;

    public VirtioDevice Device { get; } = device;

    /// <summary>What the guest sees of it; set when it is on a bus.</summary>
    public IDevice? Transport { get; set; }

    /// <summary>Its slot on the PCI bus; 0 if it is memory-mapped.</summary>
    public int Slot { get; set; }

    public int? WantedSlot => _disk?.Slot ?? _network?.Slot;

    public BlockDevice? Block { get; init; }

    public LimitedDisk? Disk { get; init; }

    public DiskBackend? DiskBackend { get; init; }

    public LimitedNetwork? Network { get; init; }

    /// <summary>How the same disk would be made; null if it is none.</summary>
    public DiskSettings? DiskSettings
    {
        get => _disk == null ? null : _disk with { Slot = Slot == 0 ? _disk.Slot : Slot, Limits = Disk!.Limits };
        init => _disk = value;
    }

    /// <summary>How the same card would be made; null if it is none.</summary>
    public NetworkSettings? NetworkSettings
    {
        get => _network == null ? null : _network with { Slot = Slot == 0 ? _network.Slot : Slot, Limits = Network!.Limits };
        init => _network = value;
    }

    /// <summary>Whether somebody on the host wants it gone.</summary>
    public bool RemovalRequested { get; set; }

    /// <summary>Completes when it is off the machine and closed.</summary>
    public Task Removed => _removed.Task;

    /// <summary>Closes what serves it.</summary>
    public void Close()
    {
        if (!_closed)
        {
            _closed = true;
            Network?.Close();
            foreach (IDisposable backend in backends)
            {
                backend.Dispose();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Close();
        _removed.TrySetResult();
    }
}
