namespace Lamina.Personalities.Xen.Events;

/// <summary>What an event channel is bound to. The values are those of EVTCHNOP_status.</summary>
internal enum PortState : byte
{
    Closed = 0,
    Unbound = 1,
    Interdomain = 2,
    Pirq = 3,
    Virq = 4,
    Ipi = 5,
}
