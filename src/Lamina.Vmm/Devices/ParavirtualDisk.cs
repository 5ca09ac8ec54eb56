using System.Globalization;
using System.Text;
using Lamina.Machine.Limits;
using Lamina.Storage;

namespace Lamina.Vmm.Devices;

/// <summary>A disk of a machine that shows another hypervisor than KVM, and what serves it.</summary>
internal sealed class ParavirtualDisk : IRemovable
{
    private readonly DiskSettings _settings;
    private readonly TaskCompletionSource _removed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Opens it.</summary>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    internal ParavirtualDisk(DiskSettings settings, int number, Machine.Time.IMachineClock clock, Action<string> notice)
    {
        Number = number;
        _settings = settings with { Number = number, Files = null };
        Backend = new DiskBackend(
            DiskImages.Open(settings.Path, settings.Format, !settings.IsReadOnly, settings.IsDirect, settings.Files ?? HostImageFiles.Instance), settings.OnNoSpace, notice);
        Limited = new LimitedDisk(Backend, clock, new MonitorLock(), settings.Limits);
        Name = string.Create(CultureInfo.InvariantCulture, $"disk{number}");
        Serial = Encoding.ASCII.GetBytes(settings.Serial ?? Name);
    }

    public string Name { get; }

    public int Number { get; }

    /// <summary>How the same disk would be made.</summary>
    public DiskSettings Settings => _settings with { Limits = Limited.Limits };

    public DiskBackend Backend { get; }

    public LimitedDisk Limited { get; }

    public byte[] Serial { get; }

    /// <inheritdoc/>
    public bool RemovalRequested { get; set; }

    /// <inheritdoc/>
    public Task Removed => _removed.Task;

    /// <inheritdoc/>
    public void Dispose()
    {
        Backend.Dispose();
        _removed.TrySetResult();
    }
}
