using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Network;

/// <summary>An event channel of a network card's queue.</summary>
internal sealed class NetworkEvent(NetworkQueue owner) : IEventTarget
{
    /// <summary>The channel; 0 for none.</summary>
    internal uint Port { get; set; }

    /// <inheritdoc/>
    public void OnEvent() => owner.OnEvent();
}
