using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Finds the handlers of D8 to DF and FWAIT.</summary>
internal static unsafe class X87Binder
{
    private const byte Wait = 0x9b;

    /// <summary>See <see cref="VectorBinder.TryBind"/>.</summary>
    public static bool TryBind(Instruction* i, ProcessorFeatures features, StubCache stubs)
    {
        byte opcode = (byte)i->Opcode;
        if ((features & ProcessorFeatures.Fpu) == 0)
        {
            return false;
        }

        if (opcode == Wait)
        {
            i->Handler = &X87Control.Wait;
            return true;
        }

        if ((opcode & 0xf8) != 0xd8)
        {
            return false;
        }

        return TryBindControl(i, opcode) || TryBindStub(i, opcode, features, stubs);
    }

    private static bool TryBindStub(Instruction* i, byte opcode, ProcessorFeatures features, StubCache stubs)
    {
        int size = 0;
        bool writes = false;
        if (i->IsMemory)
        {
            size = X87Table.MemorySize(opcode, i->ModRm, out writes);
            if (size == 0 || (X87Table.IsFisttp(opcode, i->ModRm) && (features & ProcessorFeatures.Sse3) == 0))
            {
                return false;
            }
        }
        else if (!X87Table.IsRegisterForm(opcode, i->ModRm))
        {
            return false;
        }

        bool flags = !i->IsMemory && (X87Table.ReadsFlags(opcode, i->ModRm) || X87Table.WritesFlags(opcode, i->ModRm));
        if (flags && (features & ProcessorFeatures.Cmov) == 0)
        {
            return false;
        }

        i->Data = stubs.X87(opcode, i->IsMemory ? (byte)(i->ModRm & 0x38) : i->ModRm);
        i->Immediate = size;
        i->Handler = !i->IsMemory ? flags ? &X87Handlers.RegisterFlags : &X87Handlers.Register : writes ? &X87Handlers.Store : &X87Handlers.Load;
        return true;
    }

    private static bool TryBindControl(Instruction* i, byte opcode)
    {
        int digit = (i->ModRm >> 3) & 7;
        i->Handler = i->IsMemory
            ? (opcode, digit) switch
            {
                (0xd9, 4) => &X87Control.LoadEnvironment,
                (0xd9, 5) => &X87Control.LoadControl,
                (0xd9, 6) => &X87Control.StoreEnvironment,
                (0xd9, 7) => &X87Control.StoreControl,
                (0xdd, 4) => &X87Control.Restore,
                (0xdd, 6) => &X87Control.Save,
                (0xdd, 7) => &X87Control.StoreStatus,
                _ => null,
            }
            : (opcode, i->ModRm) switch
            {
                (0xdb, 0xe0) or (0xdb, 0xe1) or (0xdb, 0xe4) => &X87Control.Nothing,
                (0xdb, 0xe2) => &X87Control.ClearExceptions,
                (0xdb, 0xe3) => &X87Control.Initialize,
                (0xdf, 0xe0) => &X87Control.StoreStatusRegister,
                _ => null,
            };
        return i->Handler != null;
    }
}
