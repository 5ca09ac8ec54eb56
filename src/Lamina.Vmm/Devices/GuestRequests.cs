using Lamina.Chipset;
using Lamina.Chipset.Diagnostics;
using Lamina.Personalities;

namespace Lamina.Vmm.Devices;

/// <summary>What a guest asks of the machine through its hypervisor, as the platform's devices would say it.</summary>
internal sealed class GuestRequests(IPlatformEvents events) : IGuestRequests
{
    /// <inheritdoc/>
    public void Reset() => events.Reset();

    /// <inheritdoc/>
    public void ReportCrash() => events.Panicked(PanicEvents.Panicked);

    /// <inheritdoc/>
    public void PowerOff() => events.PowerOff();
}
