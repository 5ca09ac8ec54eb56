using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot;

/// <summary>
/// What firmware leaves in every processor before it starts a system: the memory type range registers (Intel SDM volume 3, section 12.11). RAM is write-back,
/// the firmware's area write-protected, VGA and the PCI windows below 4 GiB uncached.
/// </summary>
public static class FirmwareRegisters
{
    private const uint VariableBase0 = 0x200;
    private const uint VariableMask0 = 0x201;
    private const uint VariableBase1 = 0x202;
    private const uint VariableMask1 = 0x203;
    private const uint Fixed64KFrom0 = 0x250;
    private const uint Fixed16KFrom80000 = 0x258;
    private const uint Fixed16KFromA0000 = 0x259;
    private const uint FirstFixed4K = 0x268;
    private const uint LastFixed4K = 0x26f;
    private const uint DefaultType = 0x2ff;
    private const ulong Uncached = 0;
    private const ulong WriteBack = 6;
    private const ulong AllWriteBack = 0x0606_0606_0606_0606;
    private const ulong AllWriteProtected = 0x0505_0505_0505_0505;
    private const ulong FixedEnable = 1 << 10;
    private const ulong Enable = 1 << 11;
    private const ulong Valid = 1 << 11;
    private const ulong PciWindow = 0xc000_0000;
    private const ulong PciWindowLength = 0x4000_0000;

    /// <summary>Writes the registers into a processor's state after power-on, as far as the processor has them.</summary>
    public static void Apply(ProcessorState state, int physicalAddressBits)
    {
        ulong addressMask = (1UL << physicalAddressBits) - 1;
        Set(state, VariableBase0, MachineLayout.LowMemoryLimit | Uncached);
        Set(state, VariableMask0, (addressMask & ~(MachineLayout.ConfigurationWindowLength - 1)) | Valid);
        Set(state, VariableBase1, PciWindow | Uncached);
        Set(state, VariableMask1, (addressMask & ~(PciWindowLength - 1)) | Valid);
        Set(state, Fixed64KFrom0, AllWriteBack);
        Set(state, Fixed16KFrom80000, AllWriteBack);
        Set(state, Fixed16KFromA0000, Uncached);
        for (uint index = FirstFixed4K; index <= LastFixed4K; index++)
        {
            Set(state, index, AllWriteProtected);
        }

        Set(state, DefaultType, Enable | FixedEnable | WriteBack);
    }

    private static void Set(ProcessorState state, uint index, ulong value)
    {
        int position = state.Msrs.FindIndex(m => m.Index == index);
        if (position >= 0)
        {
            state.Msrs[position] = new MsrValue(index, value);
        }
    }
}
