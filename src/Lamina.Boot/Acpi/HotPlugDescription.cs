using System.Globalization;

namespace Lamina.Boot.Acpi;

/// <summary>
/// The part of the DSDT that lets PCI devices come and go while the machine runs (ACPI 6.5, section 6.3): each slot can be ejected, and general-purpose event 1 has the operating
/// system look at those that the registers name.
/// </summary>
internal static class HotPlugDescription
{
    private const int FirstSlot = 1;
    private const int LastSlot = 31;
    private const int RegistersLength = 0x0c;
    private const ulong DeviceCheck = 1;
    private const ulong EjectRequest = 3;

    /// <summary>Within the host bridge: the slots, and the method that tells of them.</summary>
    public static void AddSlots(AmlWriter aml, ushort registers)
    {
        aml.PortRegion("PCST", registers, RegistersLength).DoubleWordFields("PCST", "PCIU", "PCID", "PCEJ");
        for (int slot = FirstSlot; slot <= LastSlot; slot++)
        {
            aml.Device(GetName(slot)).Name("_ADR", (ulong)slot << 16).Name("_SUN", (ulong)slot)
                .Method("_EJ0", 1).Store().Integer(1UL << slot).NameString("PCEJ").Close()
                .Close();
        }

        // Tells the slots whose bits are in the first argument what the second says.
        aml.Method("TELL", 2);
        for (int slot = FirstSlot; slot <= LastSlot; slot++)
        {
            aml.If().And().Argument(0).Integer(1UL << slot).NoTarget().Notify().NameString(GetName(slot)).Argument(1).Close();
        }

        aml.Close();
        aml.SerializedMethod("LOOK", 0)
            .NameString("TELL").NameString("PCIU").Integer(DeviceCheck)
            .NameString("TELL").NameString("PCID").Integer(EjectRequest)
            .Close();
    }

    /// <summary>The event.</summary>
    public static void AddEvent(AmlWriter aml) => aml.Scope("\\_GPE").Method("_E01", 0).NameString("\\_SB.PCI0.LOOK").Close().Close();

    private static string GetName(int slot) => string.Create(CultureInfo.InvariantCulture, $"S{slot:X2}");
}
