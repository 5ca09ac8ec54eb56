using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Block;

/// <summary>A ring of a disk, and its event channel.</summary>
internal sealed class BlockQueue(BlockBackEnd owner, SharedRing ring, int number) : IEventTarget
{
    /// <summary>Its number.</summary>
    internal int Number => number;

    /// <summary>The ring.</summary>
    internal SharedRing Ring => ring;

    /// <summary>The event channel; 0 for none.</summary>
    internal uint Port { get; set; }

    /// <inheritdoc/>
    public void OnEvent() => owner.OnEvent(this);
}
