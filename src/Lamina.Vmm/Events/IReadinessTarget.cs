using Lamina.Interop.Events;

namespace Lamina.Vmm.Events;

/// <summary>Told that a descriptor is ready.</summary>
internal interface IReadinessTarget
{
    /// <summary>On the event-loop thread. Called again as long as the descriptor stays ready.</summary>
    void OnReady(Readiness readiness);
}
