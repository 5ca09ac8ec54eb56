using Lamina.Interop.Memory;
using Lamina.Machine.Backends;

namespace Lamina.Vmm.Devices;

/// <summary>Gives pages of guest RAM, which is private memory of this process, back to the host.</summary>
internal sealed class HostReclaimer : IMemoryReclaimer
{
    /// <inheritdoc/>
    public void Reclaim(GuestBuffer pages) => HostPages.Discard(pages.HostAddress, pages.Length);
}
