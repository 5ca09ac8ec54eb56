using System.Globalization;
using Lamina.Machine.Limits;
using Lamina.Machine.Time;
using Lamina.Networking;

namespace Lamina.Vmm.Devices;

/// <summary>A network card of a machine that shows another hypervisor than KVM, and what it is connected to.</summary>
internal sealed class ParavirtualNetwork : IRemovable
{
    private readonly NetworkSettings _settings;
    private readonly IReadOnlyList<WireNetwork> _lines;
    private readonly TaskCompletionSource _removed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Connects it.</summary>
    /// <exception cref="NetworkException">The network cannot be had.</exception>
    /// <exception cref="MachineConfigurationException">The settings contradict each other.</exception>
    internal ParavirtualNetwork(NetworkSettings settings, int number, byte[] address, IMachineClock clock, Action<string> notice)
    {
        Number = number;
        HardwareAddress = address;
        _settings = settings with { Number = number, Wires = [] };
        _lines = VirtioCatalog.Open(settings, notice);
        Limited = new LimitedNetwork([.. _lines], clock, new MonitorLock(), settings.Limits) { HardwareAddress = address };
        Name = string.Create(CultureInfo.InvariantCulture, $"net{number}");
    }

    public string Name { get; }

    public int Number { get; }

    public byte[] HardwareAddress { get; }

    /// <summary>How the same card would be made.</summary>
    public NetworkSettings Settings => _settings with { Slot = Slot, Limits = Limited.Limits };

    public LimitedNetwork Limited { get; }

    /// <summary>Its slot on the PCI bus; null if it has none of its own.</summary>
    public int? Slot { get; set; }

    /// <inheritdoc/>
    public bool RemovalRequested { get; set; }

    /// <inheritdoc/>
    public Task Removed => _removed.Task;

    /// <inheritdoc/>
    public void Dispose()
    {
        Limited.Close();
        foreach (WireNetwork line in _lines)
        {
            line.Dispose();
        }

        _removed.TrySetResult();
    }
}
