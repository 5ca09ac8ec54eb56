namespace Lamina.Personalities.Xen.Events;

/// <summary>The control domain's end of an event channel.</summary>
internal interface IEventTarget
{
    /// <summary>The guest has sent an event. On a processor's thread, with no lock held.</summary>
    void OnEvent();
}
