namespace Lamina.Chipset.Interrupts;

/// <summary>Delivery mode of an interrupt message, a redirection entry or a local vector (Intel SDM volume 3, section 11.5.1 and 11.6.1).</summary>
internal enum DeliveryMode
{
    Fixed = 0,
    LowestPriority = 1,
    SystemManagement = 2,
    Reserved = 3,
    NonMaskable = 4,
    Init = 5,
    StartUp = 6,
    External = 7,
}
