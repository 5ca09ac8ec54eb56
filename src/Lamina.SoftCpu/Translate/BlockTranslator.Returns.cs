namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Calls and their returns, paired by the host's own: in translations that run often a call of the guest pushes the return address, then calls; a return whose address is the one on
/// top returns there, and the host's processor has foreseen it. Behind the call stands a direct jump to what follows.
/// </summary>
/// <remarks>
/// Pairs live from one entry of translated code to the next exit, and within one privilege: nothing else changes what is mapped where. What is below them is a pair that no return matches
/// (<see cref="ProcessorContext.ReturnStack"/>).
/// </remarks>
internal unsafe ref partial struct BlockTranslator
{
    // Before the jump to what is called, with the return address in the value register. Flags are lost.
    private void EmitPair(ulong next)
    {
        if (_compact)
        {
            return;
        }

        _asm.ContextForm(0x3b, Host.Rsp, ContextLayout.ReturnLimit, true); // CMP
        int room = _asm.JumpIfShort(7);
        _asm.Call(_routines.ForgetReturns);
        _asm.BindShort(room);
        _asm.Push(Host.Value);
        int over = _asm.CallForward();
        _asm.Lea(Host.Rsp, Host.Rsp, -1, 0, 8);
        if (_shared)
        {
            EmitPage(next);
        }

        EmitDirectJump(next, All);
        _asm.Bind(over);
    }

    // Returns, with the target in the address register, if that is the address of the pair on top, or of the one below: the return of that one may have been made by a compact translation.
    private void EmitReturn(int bytes)
    {
        for (int depth = 0; depth < 2; depth++)
        {
            _asm.MemoryForm(0x3b, Host.Address, Host.Rsp, 8, true); // CMP
            int other = _asm.JumpIfShort(5);
            _asm.Lea(Host.GuestStack, Host.GuestStack, -1, 0, bytes);
            _asm.Return();
            _asm.BindShort(other);
            if (depth == 0)
            {
                _asm.Lea(Host.Rsp, Host.Rsp, -1, 0, 16);
                _asm.ContextForm(0x3b, Host.Rsp, ContextLayout.ReturnStack, true); // CMP
                int left = _asm.JumpIfShort(6);
                _asm.LoadContext(Host.Rsp, ContextLayout.ReturnStack);
                _asm.BindShort(left);
            }
        }
    }
}
