namespace Lamina.Chipset.Interrupts;

/// <summary>An interrupt on its way to local APICs.</summary>
/// <param name="Destination">Physical identifier or logical set; <see cref="Broadcast"/> in physical mode means every processor.</param>
/// <param name="Logical">Destination mode.</param>
/// <param name="Mode">Delivery mode.</param>
/// <param name="Vector">Vector, or start-up page.</param>
/// <param name="Level">Level triggered: the end of the interrupt is to be broadcast to the I/O APIC.</param>
internal readonly record struct InterruptMessage(uint Destination, bool Logical, DeliveryMode Mode, byte Vector, bool Level)
{
    public const uint Broadcast = uint.MaxValue;

    /// <summary>Widens the 8-bit destination of devices and of xAPIC commands.</summary>
    public static uint WidenDestination(uint destination, bool logical) => destination == 0xff && !logical ? Broadcast : destination;
}
