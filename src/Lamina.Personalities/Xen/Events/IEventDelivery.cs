namespace Lamina.Personalities.Xen.Events;

/// <summary>How the guest is shown that events are pending. With the domain's lock held.</summary>
internal interface IEventDelivery
{
    /// <summary>Number of event channels that can be shown.</summary>
    uint Capacity { get; }

    /// <summary>Makes an event pending, and tells the processor unless it is masked.</summary>
    void SetPending(uint port, ref EventPort state);

    /// <summary>Unmasks an event, and tells the processor if it is pending.</summary>
    void Unmask(uint port, ref EventPort state);

    /// <summary>Takes back that it is pending.</summary>
    void ClearPending(uint port);

    /// <summary>Whether it is pending.</summary>
    bool IsPending(uint port);
}
