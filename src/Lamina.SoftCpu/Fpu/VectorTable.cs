namespace Lamina.SoftCpu.Fpu;

/// <summary>Every instruction that executes as itself in a stub, as text: Intel SDM volume 2, the instruction pages.</summary>
/// <remarks>
/// <para>
/// A row: mandatory prefix, map, opcode and /digit; name without the V of VEX; operands in Intel order; the feature that offers the legacy
/// encoding, VEX.128 and VEX.256 ("-" none, "LIG" as VEX.128 with VEX.L ignored); attributes. The prefix "OS" is none or 66, the operand size.
/// </para>
/// <para>
/// Operands: V, H, U, W, L vector register in ModRM.reg, VEX.vvvv (VEX only), ModRM.rm, rm or memory, immediate[7:4]; P, N, Q MMX register in reg, rm, rm or
/// memory; G, B, E general register in reg, vvvv, rm or memory; M memory; I immediate byte. A number after a letter is the size of the memory
/// operand in bits; without one it is the vector's, and h, q, e are its half, quarter, eighth; d is 64 bits, or a whole YMM; y is 32 or 64 bits
/// by W; v is the operand size. The first operand is the destination.
/// </para>
/// <para>
/// Attributes: un: 16 legacy bytes need no alignment; al: VEX needs it too; mx: uses MXCSR and may raise SIMD exceptions; ro: the first operand is only
/// read; vw: the second is written too; ef, fi: status flags out, in; o16: has a 16-bit form; w0, w1: VEX.W must be so; x0, x0w: XMM0 is read, written;
/// ad, dr, cw: RAX and RDX, RDX are read, RCX is written.
/// </para>
/// </remarks>
internal static class VectorTable
{
    /// <summary>The rows.</summary>
    public const string Text = """
        # Moves
        NP.0F.10     movups           V,W          SSE/AVX/AVX      un
        66.0F.10     movupd           V,W          SSE2/AVX/AVX     un
        F3.0F.10     movss            V,M32        SSE/AVX/LIG
        F3.0F.10     movss            V,H,U        SSE/AVX/LIG
        F2.0F.10     movsd            V,M64        SSE2/AVX/LIG
        F2.0F.10     movsd            V,H,U        SSE2/AVX/LIG
        NP.0F.11     movups           W,V          SSE/AVX/AVX      un
        66.0F.11     movupd           W,V          SSE2/AVX/AVX     un
        F3.0F.11     movss            M32,V        SSE/AVX/LIG
        F3.0F.11     movss            U,H,V        SSE/AVX/LIG
        F2.0F.11     movsd            M64,V        SSE2/AVX/LIG
        F2.0F.11     movsd            U,H,V        SSE2/AVX/LIG
        NP.0F.12     movlps           V,H,M64      SSE/AVX/-
        NP.0F.12     movhlps          V,H,U        SSE/AVX/-
        66.0F.12     movlpd           V,H,M64      SSE2/AVX/-
        F3.0F.12     movsldup         V,W          SSE3/AVX/AVX
        F2.0F.12     movddup          V,Wd         SSE3/AVX/AVX
        NP.0F.13     movlps           M64,V        SSE/AVX/-
        66.0F.13     movlpd           M64,V        SSE2/AVX/-
        NP.0F.16     movhps           V,H,M64      SSE/AVX/-
        NP.0F.16     movlhps          V,H,U        SSE/AVX/-
        66.0F.16     movhpd           V,H,M64      SSE2/AVX/-
        F3.0F.16     movshdup         V,W          SSE3/AVX/AVX
        NP.0F.17     movhps           M64,V        SSE/AVX/-
        66.0F.17     movhpd           M64,V        SSE2/AVX/-
        NP.0F.28     movaps           V,W          SSE/AVX/AVX      al
        66.0F.28     movapd           V,W          SSE2/AVX/AVX     al
        NP.0F.29     movaps           W,V          SSE/AVX/AVX      al
        66.0F.29     movapd           W,V          SSE2/AVX/AVX     al
        NP.0F.2B     movntps          M,V          SSE/AVX/AVX      al
        66.0F.2B     movntpd          M,V          SSE2/AVX/AVX     al
        NP.0F.50     movmskps         G,U          SSE/AVX/AVX
        66.0F.50     movmskpd         G,U          SSE2/AVX/AVX
        NP.0F.6E     movd             P,Ey         MMX/-/-
        66.0F.6E     movd             V,Ey         SSE2/AVX/-
        NP.0F.6F     movq             P,Q          MMX/-/-
        66.0F.6F     movdqa           V,W          SSE2/AVX/AVX     al
        F3.0F.6F     movdqu           V,W          SSE2/AVX/AVX     un
        NP.0F.7E     movd             Ey,P         MMX/-/-
        66.0F.7E     movd             Ey,V         SSE2/AVX/-
        F3.0F.7E     movq             V,W64        SSE2/AVX/-
        NP.0F.7F     movq             Q,P          MMX/-/-
        66.0F.7F     movdqa           W,V          SSE2/AVX/AVX     al
        F3.0F.7F     movdqu           W,V          SSE2/AVX/AVX     un
        NP.0F.C3     movnti           My,G         SSE2/-/-
        66.0F.D6     movq             W64,V        SSE2/AVX/-
        F3.0F.D6     movq2dq          V,N          SSE2/-/-
        F2.0F.D6     movdq2q          P,U          SSE2/-/-
        NP.0F.E7     movntq           M64,P        SSE/-/-
        66.0F.E7     movntdq          M,V          SSE2/AVX/AVX     al
        F2.0F.F0     lddqu            V,M          SSE3/AVX/AVX     un
        66.0F38.2A   movntdqa         V,M          SSE41/AVX/AVX2   al
        # Floating point
        NP.0F.14     unpcklps         V,H,W        SSE/AVX/AVX
        66.0F.14     unpcklpd         V,H,W        SSE2/AVX/AVX
        NP.0F.15     unpckhps         V,H,W        SSE/AVX/AVX
        66.0F.15     unpckhpd         V,H,W        SSE2/AVX/AVX
        NP.0F.54     andps            V,H,W        SSE/AVX/AVX
        66.0F.54     andpd            V,H,W        SSE2/AVX/AVX
        NP.0F.55     andnps           V,H,W        SSE/AVX/AVX
        66.0F.55     andnpd           V,H,W        SSE2/AVX/AVX
        NP.0F.56     orps             V,H,W        SSE/AVX/AVX
        66.0F.56     orpd             V,H,W        SSE2/AVX/AVX
        NP.0F.57     xorps            V,H,W        SSE/AVX/AVX
        66.0F.57     xorpd            V,H,W        SSE2/AVX/AVX
        NP.0F.51     sqrtps           V,W          SSE/AVX/AVX      mx
        66.0F.51     sqrtpd           V,W          SSE2/AVX/AVX     mx
        F3.0F.51     sqrtss           V,H,W32      SSE/AVX/LIG      mx
        F2.0F.51     sqrtsd           V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.52     rsqrtps          V,W          SSE/AVX/AVX      mx
        F3.0F.52     rsqrtss          V,H,W32      SSE/AVX/LIG      mx
        NP.0F.53     rcpps            V,W          SSE/AVX/AVX      mx
        F3.0F.53     rcpss            V,H,W32      SSE/AVX/LIG      mx
        NP.0F.58     addps            V,H,W        SSE/AVX/AVX      mx
        66.0F.58     addpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.58     addss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.58     addsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.59     mulps            V,H,W        SSE/AVX/AVX      mx
        66.0F.59     mulpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.59     mulss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.59     mulsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.5C     subps            V,H,W        SSE/AVX/AVX      mx
        66.0F.5C     subpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.5C     subss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.5C     subsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.5D     minps            V,H,W        SSE/AVX/AVX      mx
        66.0F.5D     minpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.5D     minss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.5D     minsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.5E     divps            V,H,W        SSE/AVX/AVX      mx
        66.0F.5E     divpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.5E     divss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.5E     divsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.5F     maxps            V,H,W        SSE/AVX/AVX      mx
        66.0F.5F     maxpd            V,H,W        SSE2/AVX/AVX     mx
        F3.0F.5F     maxss            V,H,W32      SSE/AVX/LIG      mx
        F2.0F.5F     maxsd            V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.C2     cmpps            V,H,W,I      SSE/AVX/AVX      mx
        66.0F.C2     cmppd            V,H,W,I      SSE2/AVX/AVX     mx
        F3.0F.C2     cmpss            V,H,W32,I    SSE/AVX/LIG      mx
        F2.0F.C2     cmpsd            V,H,W64,I    SSE2/AVX/LIG     mx
        NP.0F.C6     shufps           V,H,W,I      SSE/AVX/AVX
        66.0F.C6     shufpd           V,H,W,I      SSE2/AVX/AVX
        NP.0F.2E     ucomiss          V,W32        SSE/AVX/LIG      mx ro ef
        66.0F.2E     ucomisd          V,W64        SSE2/AVX/LIG     mx ro ef
        NP.0F.2F     comiss           V,W32        SSE/AVX/LIG      mx ro ef
        66.0F.2F     comisd           V,W64        SSE2/AVX/LIG     mx ro ef
        66.0F.7C     haddpd           V,H,W        SSE3/AVX/AVX     mx
        F2.0F.7C     haddps           V,H,W        SSE3/AVX/AVX     mx
        66.0F.7D     hsubpd           V,H,W        SSE3/AVX/AVX     mx
        F2.0F.7D     hsubps           V,H,W        SSE3/AVX/AVX     mx
        66.0F.D0     addsubpd         V,H,W        SSE3/AVX/AVX     mx
        F2.0F.D0     addsubps         V,H,W        SSE3/AVX/AVX     mx
        66.0F3A.08   roundps          V,W,I        SSE41/AVX/AVX    mx
        66.0F3A.09   roundpd          V,W,I        SSE41/AVX/AVX    mx
        66.0F3A.0A   roundss          V,H,W32,I    SSE41/AVX/LIG    mx
        66.0F3A.0B   roundsd          V,H,W64,I    SSE41/AVX/LIG    mx
        66.0F3A.0C   blendps          V,H,W,I      SSE41/AVX/AVX
        66.0F3A.0D   blendpd          V,H,W,I      SSE41/AVX/AVX
        66.0F3A.40   dpps             V,H,W,I      SSE41/AVX/AVX    mx
        66.0F3A.41   dppd             V,H,W,I      SSE41/AVX/-      mx
        66.0F3A.17   extractps        E32,V,I      SSE41/AVX/-
        66.0F3A.21   insertps         V,H,W32,I    SSE41/AVX/-
        66.0F38.14   blendvps         V,W          SSE41/-/-        x0
        66.0F38.15   blendvpd         V,W          SSE41/-/-        x0
        # Conversions
        NP.0F.2A     cvtpi2ps         V,N          SSE/-/-          mx
        NP.0F.2A     cvtpi2ps         V,M64        SSE/-/-          mx
        66.0F.2A     cvtpi2pd         V,N          SSE2/-/-         mx
        66.0F.2A     cvtpi2pd         V,M64        SSE2/-/-         mx
        F3.0F.2A     cvtsi2ss         V,H,Ey       SSE/AVX/LIG      mx
        F2.0F.2A     cvtsi2sd         V,H,Ey       SSE2/AVX/LIG     mx
        NP.0F.2C     cvttps2pi        P,W64        SSE/-/-          mx
        66.0F.2C     cvttpd2pi        P,W          SSE2/-/-         mx
        F3.0F.2C     cvttss2si        G,W32        SSE/AVX/LIG      mx
        F2.0F.2C     cvttsd2si        G,W64        SSE2/AVX/LIG     mx
        NP.0F.2D     cvtps2pi         P,W64        SSE/-/-          mx
        66.0F.2D     cvtpd2pi         P,W          SSE2/-/-         mx
        F3.0F.2D     cvtss2si         G,W32        SSE/AVX/LIG      mx
        F2.0F.2D     cvtsd2si         G,W64        SSE2/AVX/LIG     mx
        NP.0F.5A     cvtps2pd         V,Wh         SSE2/AVX/AVX     mx
        66.0F.5A     cvtpd2ps         V,W          SSE2/AVX/AVX     mx
        F3.0F.5A     cvtss2sd         V,H,W32      SSE2/AVX/LIG     mx
        F2.0F.5A     cvtsd2ss         V,H,W64      SSE2/AVX/LIG     mx
        NP.0F.5B     cvtdq2ps         V,W          SSE2/AVX/AVX     mx
        66.0F.5B     cvtps2dq         V,W          SSE2/AVX/AVX     mx
        F3.0F.5B     cvttps2dq        V,W          SSE2/AVX/AVX     mx
        66.0F.E6     cvttpd2dq        V,W          SSE2/AVX/AVX     mx
        F3.0F.E6     cvtdq2pd         V,Wh         SSE2/AVX/AVX
        F2.0F.E6     cvtpd2dq         V,W          SSE2/AVX/AVX     mx
        # Integer: XMM/YMM forms, and the MMX forms beside them
        NP.0F.60     punpcklbw        P,Q32        MMX/-/-
        66.0F.60     punpcklbw        V,H,W        SSE2/AVX/AVX2
        NP.0F.61     punpcklwd        P,Q32        MMX/-/-
        66.0F.61     punpcklwd        V,H,W        SSE2/AVX/AVX2
        NP.0F.62     punpckldq        P,Q32        MMX/-/-
        66.0F.62     punpckldq        V,H,W        SSE2/AVX/AVX2
        NP.0F.63     packsswb         P,Q          MMX/-/-
        66.0F.63     packsswb         V,H,W        SSE2/AVX/AVX2
        NP.0F.64     pcmpgtb          P,Q          MMX/-/-
        66.0F.64     pcmpgtb          V,H,W        SSE2/AVX/AVX2
        NP.0F.65     pcmpgtw          P,Q          MMX/-/-
        66.0F.65     pcmpgtw          V,H,W        SSE2/AVX/AVX2
        NP.0F.66     pcmpgtd          P,Q          MMX/-/-
        66.0F.66     pcmpgtd          V,H,W        SSE2/AVX/AVX2
        NP.0F.67     packuswb         P,Q          MMX/-/-
        66.0F.67     packuswb         V,H,W        SSE2/AVX/AVX2
        NP.0F.68     punpckhbw        P,Q          MMX/-/-
        66.0F.68     punpckhbw        V,H,W        SSE2/AVX/AVX2
        NP.0F.69     punpckhwd        P,Q          MMX/-/-
        66.0F.69     punpckhwd        V,H,W        SSE2/AVX/AVX2
        NP.0F.6A     punpckhdq        P,Q          MMX/-/-
        66.0F.6A     punpckhdq        V,H,W        SSE2/AVX/AVX2
        NP.0F.6B     packssdw         P,Q          MMX/-/-
        66.0F.6B     packssdw         V,H,W        SSE2/AVX/AVX2
        66.0F.6C     punpcklqdq       V,H,W        SSE2/AVX/AVX2
        66.0F.6D     punpckhqdq       V,H,W        SSE2/AVX/AVX2
        NP.0F.70     pshufw           P,Q,I        SSE/-/-
        66.0F.70     pshufd           V,W,I        SSE2/AVX/AVX2
        F3.0F.70     pshufhw          V,W,I        SSE2/AVX/AVX2
        F2.0F.70     pshuflw          V,W,I        SSE2/AVX/AVX2
        NP.0F.71/2   psrlw            N,I          MMX/-/-
        66.0F.71/2   psrlw            U,I          SSE2/-/-
        66.0F.71/2   psrlw            H,U,I        -/AVX/AVX2
        NP.0F.71/4   psraw            N,I          MMX/-/-
        66.0F.71/4   psraw            U,I          SSE2/-/-
        66.0F.71/4   psraw            H,U,I        -/AVX/AVX2
        NP.0F.71/6   psllw            N,I          MMX/-/-
        66.0F.71/6   psllw            U,I          SSE2/-/-
        66.0F.71/6   psllw            H,U,I        -/AVX/AVX2
        NP.0F.72/2   psrld            N,I          MMX/-/-
        66.0F.72/2   psrld            U,I          SSE2/-/-
        66.0F.72/2   psrld            H,U,I        -/AVX/AVX2
        NP.0F.72/4   psrad            N,I          MMX/-/-
        66.0F.72/4   psrad            U,I          SSE2/-/-
        66.0F.72/4   psrad            H,U,I        -/AVX/AVX2
        NP.0F.72/6   pslld            N,I          MMX/-/-
        66.0F.72/6   pslld            U,I          SSE2/-/-
        66.0F.72/6   pslld            H,U,I        -/AVX/AVX2
        NP.0F.73/2   psrlq            N,I          MMX/-/-
        66.0F.73/2   psrlq            U,I          SSE2/-/-
        66.0F.73/2   psrlq            H,U,I        -/AVX/AVX2
        NP.0F.73/6   psllq            N,I          MMX/-/-
        66.0F.73/6   psllq            U,I          SSE2/-/-
        66.0F.73/6   psllq            H,U,I        -/AVX/AVX2
        66.0F.73/3   psrldq           U,I          SSE2/-/-
        66.0F.73/3   psrldq           H,U,I        -/AVX/AVX2
        66.0F.73/7   pslldq           U,I          SSE2/-/-
        66.0F.73/7   pslldq           H,U,I        -/AVX/AVX2
        NP.0F.74     pcmpeqb          P,Q          MMX/-/-
        66.0F.74     pcmpeqb          V,H,W        SSE2/AVX/AVX2
        NP.0F.75     pcmpeqw          P,Q          MMX/-/-
        66.0F.75     pcmpeqw          V,H,W        SSE2/AVX/AVX2
        NP.0F.76     pcmpeqd          P,Q          MMX/-/-
        66.0F.76     pcmpeqd          V,H,W        SSE2/AVX/AVX2
        NP.0F.C4     pinsrw           P,E16,I      SSE/-/-
        66.0F.C4     pinsrw           V,H,E16,I    SSE2/AVX/-
        NP.0F.C5     pextrw           G,N,I        SSE/-/-
        66.0F.C5     pextrw           G,U,I        SSE2/AVX/-
        NP.0F.D7     pmovmskb         G,N          SSE/-/-
        66.0F.D7     pmovmskb         G,U          SSE2/AVX/AVX2
        NP.0F.D1     psrlw            P,Q          MMX/-/-
        66.0F.D1     psrlw            V,H,W128     SSE2/AVX/AVX2
        NP.0F.D2     psrld            P,Q          MMX/-/-
        66.0F.D2     psrld            V,H,W128     SSE2/AVX/AVX2
        NP.0F.D3     psrlq            P,Q          MMX/-/-
        66.0F.D3     psrlq            V,H,W128     SSE2/AVX/AVX2
        NP.0F.D4     paddq            P,Q          SSE2/-/-
        66.0F.D4     paddq            V,H,W        SSE2/AVX/AVX2
        NP.0F.D5     pmullw           P,Q          MMX/-/-
        66.0F.D5     pmullw           V,H,W        SSE2/AVX/AVX2
        NP.0F.D8     psubusb          P,Q          MMX/-/-
        66.0F.D8     psubusb          V,H,W        SSE2/AVX/AVX2
        NP.0F.D9     psubusw          P,Q          MMX/-/-
        66.0F.D9     psubusw          V,H,W        SSE2/AVX/AVX2
        NP.0F.DA     pminub           P,Q          SSE/-/-
        66.0F.DA     pminub           V,H,W        SSE2/AVX/AVX2
        NP.0F.DB     pand             P,Q          MMX/-/-
        66.0F.DB     pand             V,H,W        SSE2/AVX/AVX2
        NP.0F.DC     paddusb          P,Q          MMX/-/-
        66.0F.DC     paddusb          V,H,W        SSE2/AVX/AVX2
        NP.0F.DD     paddusw          P,Q          MMX/-/-
        66.0F.DD     paddusw          V,H,W        SSE2/AVX/AVX2
        NP.0F.DE     pmaxub           P,Q          SSE/-/-
        66.0F.DE     pmaxub           V,H,W        SSE2/AVX/AVX2
        NP.0F.DF     pandn            P,Q          MMX/-/-
        66.0F.DF     pandn            V,H,W        SSE2/AVX/AVX2
        NP.0F.E0     pavgb            P,Q          SSE/-/-
        66.0F.E0     pavgb            V,H,W        SSE2/AVX/AVX2
        NP.0F.E1     psraw            P,Q          MMX/-/-
        66.0F.E1     psraw            V,H,W128     SSE2/AVX/AVX2
        NP.0F.E2     psrad            P,Q          MMX/-/-
        66.0F.E2     psrad            V,H,W128     SSE2/AVX/AVX2
        NP.0F.E3     pavgw            P,Q          SSE/-/-
        66.0F.E3     pavgw            V,H,W        SSE2/AVX/AVX2
        NP.0F.E4     pmulhuw          P,Q          SSE/-/-
        66.0F.E4     pmulhuw          V,H,W        SSE2/AVX/AVX2
        NP.0F.E5     pmulhw           P,Q          MMX/-/-
        66.0F.E5     pmulhw           V,H,W        SSE2/AVX/AVX2
        NP.0F.E8     psubsb           P,Q          MMX/-/-
        66.0F.E8     psubsb           V,H,W        SSE2/AVX/AVX2
        NP.0F.E9     psubsw           P,Q          MMX/-/-
        66.0F.E9     psubsw           V,H,W        SSE2/AVX/AVX2
        NP.0F.EA     pminsw           P,Q          SSE/-/-
        66.0F.EA     pminsw           V,H,W        SSE2/AVX/AVX2
        NP.0F.EB     por              P,Q          MMX/-/-
        66.0F.EB     por              V,H,W        SSE2/AVX/AVX2
        NP.0F.EC     paddsb           P,Q          MMX/-/-
        66.0F.EC     paddsb           V,H,W        SSE2/AVX/AVX2
        NP.0F.ED     paddsw           P,Q          MMX/-/-
        66.0F.ED     paddsw           V,H,W        SSE2/AVX/AVX2
        NP.0F.EE     pmaxsw           P,Q          SSE/-/-
        66.0F.EE     pmaxsw           V,H,W        SSE2/AVX/AVX2
        NP.0F.EF     pxor             P,Q          MMX/-/-
        66.0F.EF     pxor             V,H,W        SSE2/AVX/AVX2
        NP.0F.F1     psllw            P,Q          MMX/-/-
        66.0F.F1     psllw            V,H,W128     SSE2/AVX/AVX2
        NP.0F.F2     pslld            P,Q          MMX/-/-
        66.0F.F2     pslld            V,H,W128     SSE2/AVX/AVX2
        NP.0F.F3     psllq            P,Q          MMX/-/-
        66.0F.F3     psllq            V,H,W128     SSE2/AVX/AVX2
        NP.0F.F4     pmuludq          P,Q          SSE2/-/-
        66.0F.F4     pmuludq          V,H,W        SSE2/AVX/AVX2
        NP.0F.F5     pmaddwd          P,Q          MMX/-/-
        66.0F.F5     pmaddwd          V,H,W        SSE2/AVX/AVX2
        NP.0F.F6     psadbw           P,Q          SSE/-/-
        66.0F.F6     psadbw           V,H,W        SSE2/AVX/AVX2
        NP.0F.F8     psubb            P,Q          MMX/-/-
        66.0F.F8     psubb            V,H,W        SSE2/AVX/AVX2
        NP.0F.F9     psubw            P,Q          MMX/-/-
        66.0F.F9     psubw            V,H,W        SSE2/AVX/AVX2
        NP.0F.FA     psubd            P,Q          MMX/-/-
        66.0F.FA     psubd            V,H,W        SSE2/AVX/AVX2
        NP.0F.FB     psubq            P,Q          SSE2/-/-
        66.0F.FB     psubq            V,H,W        SSE2/AVX/AVX2
        NP.0F.FC     paddb            P,Q          MMX/-/-
        66.0F.FC     paddb            V,H,W        SSE2/AVX/AVX2
        NP.0F.FD     paddw            P,Q          MMX/-/-
        66.0F.FD     paddw            V,H,W        SSE2/AVX/AVX2
        NP.0F.FE     paddd            P,Q          MMX/-/-
        66.0F.FE     paddd            V,H,W        SSE2/AVX/AVX2
        NP.0F38.00   pshufb           P,Q          SSSE3/-/-
        66.0F38.00   pshufb           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.01   phaddw           P,Q          SSSE3/-/-
        66.0F38.01   phaddw           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.02   phaddd           P,Q          SSSE3/-/-
        66.0F38.02   phaddd           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.03   phaddsw          P,Q          SSSE3/-/-
        66.0F38.03   phaddsw          V,H,W        SSSE3/AVX/AVX2
        NP.0F38.04   pmaddubsw        P,Q          SSSE3/-/-
        66.0F38.04   pmaddubsw        V,H,W        SSSE3/AVX/AVX2
        NP.0F38.05   phsubw           P,Q          SSSE3/-/-
        66.0F38.05   phsubw           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.06   phsubd           P,Q          SSSE3/-/-
        66.0F38.06   phsubd           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.07   phsubsw          P,Q          SSSE3/-/-
        66.0F38.07   phsubsw          V,H,W        SSSE3/AVX/AVX2
        NP.0F38.08   psignb           P,Q          SSSE3/-/-
        66.0F38.08   psignb           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.09   psignw           P,Q          SSSE3/-/-
        66.0F38.09   psignw           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.0A   psignd           P,Q          SSSE3/-/-
        66.0F38.0A   psignd           V,H,W        SSSE3/AVX/AVX2
        NP.0F38.0B   pmulhrsw         P,Q          SSSE3/-/-
        66.0F38.0B   pmulhrsw         V,H,W        SSSE3/AVX/AVX2
        NP.0F38.1C   pabsb            P,Q          SSSE3/-/-
        66.0F38.1C   pabsb            V,W          SSSE3/AVX/AVX2
        NP.0F38.1D   pabsw            P,Q          SSSE3/-/-
        66.0F38.1D   pabsw            V,W          SSSE3/AVX/AVX2
        NP.0F38.1E   pabsd            P,Q          SSSE3/-/-
        66.0F38.1E   pabsd            V,W          SSSE3/AVX/AVX2
        NP.0F3A.0F   palignr          P,Q,I        SSSE3/-/-
        66.0F3A.0F   palignr          V,H,W,I      SSSE3/AVX/AVX2
        66.0F38.10   pblendvb         V,W          SSE41/-/-        x0
        66.0F38.17   ptest            V,W          SSE41/AVX/AVX    ro ef
        66.0F38.20   pmovsxbw         V,Wh         SSE41/AVX/AVX2
        66.0F38.21   pmovsxbd         V,Wq         SSE41/AVX/AVX2
        66.0F38.22   pmovsxbq         V,We         SSE41/AVX/AVX2
        66.0F38.23   pmovsxwd         V,Wh         SSE41/AVX/AVX2
        66.0F38.24   pmovsxwq         V,Wq         SSE41/AVX/AVX2
        66.0F38.25   pmovsxdq         V,Wh         SSE41/AVX/AVX2
        66.0F38.30   pmovzxbw         V,Wh         SSE41/AVX/AVX2
        66.0F38.31   pmovzxbd         V,Wq         SSE41/AVX/AVX2
        66.0F38.32   pmovzxbq         V,We         SSE41/AVX/AVX2
        66.0F38.33   pmovzxwd         V,Wh         SSE41/AVX/AVX2
        66.0F38.34   pmovzxwq         V,Wq         SSE41/AVX/AVX2
        66.0F38.35   pmovzxdq         V,Wh         SSE41/AVX/AVX2
        66.0F38.28   pmuldq           V,H,W        SSE41/AVX/AVX2
        66.0F38.29   pcmpeqq          V,H,W        SSE41/AVX/AVX2
        66.0F38.2B   packusdw         V,H,W        SSE41/AVX/AVX2
        66.0F38.37   pcmpgtq          V,H,W        SSE42/AVX/AVX2
        66.0F38.38   pminsb           V,H,W        SSE41/AVX/AVX2
        66.0F38.39   pminsd           V,H,W        SSE41/AVX/AVX2
        66.0F38.3A   pminuw           V,H,W        SSE41/AVX/AVX2
        66.0F38.3B   pminud           V,H,W        SSE41/AVX/AVX2
        66.0F38.3C   pmaxsb           V,H,W        SSE41/AVX/AVX2
        66.0F38.3D   pmaxsd           V,H,W        SSE41/AVX/AVX2
        66.0F38.3E   pmaxuw           V,H,W        SSE41/AVX/AVX2
        66.0F38.3F   pmaxud           V,H,W        SSE41/AVX/AVX2
        66.0F38.40   pmulld           V,H,W        SSE41/AVX/AVX2
        66.0F38.41   phminposuw       V,W          SSE41/AVX/-
        66.0F3A.0E   pblendw          V,H,W,I      SSE41/AVX/AVX2
        66.0F3A.14   pextrb           E8,V,I       SSE41/AVX/-
        66.0F3A.15   pextrw           E16,V,I      SSE41/AVX/-
        66.0F3A.16   pextrd           Ey,V,I       SSE41/AVX/-
        66.0F3A.20   pinsrb           V,H,E8,I     SSE41/AVX/-
        66.0F3A.22   pinsrd           V,H,Ey,I     SSE41/AVX/-
        66.0F3A.42   mpsadbw          V,H,W,I      SSE41/AVX/AVX2
        66.0F3A.60   pcmpestrm        V,W,I        SSE42/AVX/-      un ro ef ad x0w
        66.0F3A.61   pcmpestri        V,W,I        SSE42/AVX/-      un ro ef ad cw
        66.0F3A.62   pcmpistrm        V,W,I        SSE42/AVX/-      un ro ef x0w
        66.0F3A.63   pcmpistri        V,W,I        SSE42/AVX/-      un ro ef cw
        # Cryptography
        66.0F38.DB   aesimc           V,W          AES/AES+AVX/-
        66.0F38.DC   aesenc           V,H,W        AES/AES+AVX/-
        66.0F38.DD   aesenclast       V,H,W        AES/AES+AVX/-
        66.0F38.DE   aesdec           V,H,W        AES/AES+AVX/-
        66.0F38.DF   aesdeclast       V,H,W        AES/AES+AVX/-
        66.0F3A.DF   aeskeygenassist  V,W,I        AES/AES+AVX/-
        66.0F3A.44   pclmulqdq        V,H,W,I      PCLMUL/PCLMUL+AVX/-
        NP.0F38.C8   sha1nexte        V,W          SHA/-/-
        NP.0F38.C9   sha1msg1         V,W          SHA/-/-
        NP.0F38.CA   sha1msg2         V,W          SHA/-/-
        NP.0F38.CB   sha256rnds2      V,W          SHA/-/-          x0
        NP.0F38.CC   sha256msg1       V,W          SHA/-/-
        NP.0F38.CD   sha256msg2       V,W          SHA/-/-
        NP.0F3A.CC   sha1rnds4        V,W,I        SHA/-/-
        # AVX, AVX2, F16C
        66.0F38.0C   vpermilps        V,H,W        -/AVX/AVX        w0
        66.0F38.0D   vpermilpd        V,H,W        -/AVX/AVX        w0
        66.0F38.0E   vtestps          V,W          -/AVX/AVX        w0 ro ef
        66.0F38.0F   vtestpd          V,W          -/AVX/AVX        w0 ro ef
        66.0F38.13   vcvtph2ps        V,Wh         -/F16C/F16C      w0 mx
        66.0F38.16   vpermps          V,H,W        -/-/AVX2         w0
        66.0F38.18   vbroadcastss     V,M32        -/AVX/AVX        w0
        66.0F38.18   vbroadcastss     V,U          -/AVX2/AVX2      w0
        66.0F38.19   vbroadcastsd     V,M64        -/-/AVX          w0
        66.0F38.19   vbroadcastsd     V,U          -/-/AVX2         w0
        66.0F38.1A   vbroadcastf128   V,M128       -/-/AVX          w0
        66.0F38.36   vpermd           V,H,W        -/-/AVX2         w0
        66.0F38.45   vpsrlvd          V,H,W        -/AVX2/AVX2      w0
        66.0F38.45   vpsrlvq          V,H,W        -/AVX2/AVX2      w1
        66.0F38.46   vpsravd          V,H,W        -/AVX2/AVX2      w0
        66.0F38.47   vpsllvd          V,H,W        -/AVX2/AVX2      w0
        66.0F38.47   vpsllvq          V,H,W        -/AVX2/AVX2      w1
        66.0F38.58   vpbroadcastd     V,W32        -/AVX2/AVX2      w0
        66.0F38.59   vpbroadcastq     V,W64        -/AVX2/AVX2      w0
        66.0F38.5A   vbroadcasti128   V,M128       -/-/AVX2         w0
        66.0F38.78   vpbroadcastb     V,W8         -/AVX2/AVX2      w0
        66.0F38.79   vpbroadcastw     V,W16        -/AVX2/AVX2      w0
        66.0F3A.00   vpermq           V,W,I        -/-/AVX2         w1
        66.0F3A.01   vpermpd          V,W,I        -/-/AVX2         w1
        66.0F3A.02   vpblendd         V,H,W,I      -/AVX2/AVX2      w0
        66.0F3A.04   vpermilps        V,W,I        -/AVX/AVX        w0
        66.0F3A.05   vpermilpd        V,W,I        -/AVX/AVX        w0
        66.0F3A.06   vperm2f128       V,H,W,I      -/-/AVX          w0
        66.0F3A.18   vinsertf128      V,H,W128,I   -/-/AVX          w0
        66.0F3A.19   vextractf128     W128,V,I     -/-/AVX          w0
        66.0F3A.1D   vcvtps2ph        Wh,V,I       -/F16C/F16C      w0 mx
        66.0F3A.38   vinserti128      V,H,W128,I   -/-/AVX2         w0
        66.0F3A.39   vextracti128     W128,V,I     -/-/AVX2         w0
        66.0F3A.46   vperm2i128       V,H,W,I      -/-/AVX2         w0
        66.0F3A.4A   vblendvps        V,H,W,L      -/AVX/AVX        w0
        66.0F3A.4B   vblendvpd        V,H,W,L      -/AVX/AVX        w0
        66.0F3A.4C   vpblendvb        V,H,W,L      -/AVX/AVX2       w0
        # FMA
        66.0F38.96   vfmaddsub132ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.96   vfmaddsub132pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.97   vfmsubadd132ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.97   vfmsubadd132pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.98   vfmadd132ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.98   vfmadd132pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.99   vfmadd132ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.99   vfmadd132sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.9A   vfmsub132ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.9A   vfmsub132pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.9B   vfmsub132ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.9B   vfmsub132sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.9C   vfnmadd132ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.9C   vfnmadd132pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.9D   vfnmadd132ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.9D   vfnmadd132sd     V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.9E   vfnmsub132ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.9E   vfnmsub132pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.9F   vfnmsub132ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.9F   vfnmsub132sd     V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.A6   vfmaddsub213ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.A6   vfmaddsub213pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.A7   vfmsubadd213ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.A7   vfmsubadd213pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.A8   vfmadd213ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.A8   vfmadd213pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.A9   vfmadd213ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.A9   vfmadd213sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.AA   vfmsub213ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.AA   vfmsub213pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.AB   vfmsub213ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.AB   vfmsub213sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.AC   vfnmadd213ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.AC   vfnmadd213pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.AD   vfnmadd213ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.AD   vfnmadd213sd     V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.AE   vfnmsub213ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.AE   vfnmsub213pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.AF   vfnmsub213ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.AF   vfnmsub213sd     V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.B6   vfmaddsub231ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.B6   vfmaddsub231pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.B7   vfmsubadd231ps   V,H,W        -/FMA/FMA        w0 mx
        66.0F38.B7   vfmsubadd231pd   V,H,W        -/FMA/FMA        w1 mx
        66.0F38.B8   vfmadd231ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.B8   vfmadd231pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.B9   vfmadd231ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.B9   vfmadd231sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.BA   vfmsub231ps      V,H,W        -/FMA/FMA        w0 mx
        66.0F38.BA   vfmsub231pd      V,H,W        -/FMA/FMA        w1 mx
        66.0F38.BB   vfmsub231ss      V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.BB   vfmsub231sd      V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.BC   vfnmadd231ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.BC   vfnmadd231pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.BD   vfnmadd231ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.BD   vfnmadd231sd     V,H,W64      -/FMA/LIG        w1 mx
        66.0F38.BE   vfnmsub231ps     V,H,W        -/FMA/FMA        w0 mx
        66.0F38.BE   vfnmsub231pd     V,H,W        -/FMA/FMA        w1 mx
        66.0F38.BF   vfnmsub231ss     V,H,W32      -/FMA/LIG        w0 mx
        66.0F38.BF   vfnmsub231sd     V,H,W64      -/FMA/LIG        w1 mx
        # General registers
        F3.0F.B8     popcnt           G,Ev         POPCNT/-/-       o16 ef
        F3.0F.BC     tzcnt            G,Ev         BMI1/-/-         o16 ef
        F3.0F.BD     lzcnt            G,Ev         LZCNT/-/-        o16 ef
        OS.0F38.F0   movbe            G,Mv         MOVBE/-/-        o16
        OS.0F38.F1   movbe            Mv,G         MOVBE/-/-        o16
        F2.0F38.F0   crc32            G,E8         SSE42/-/-
        F2.0F38.F1   crc32            G,Ev         SSE42/-/-        o16
        66.0F38.F6   adcx             G,Ey         ADX/-/-          fi ef
        F3.0F38.F6   adox             G,Ey         ADX/-/-          fi ef
        NP.0F38.F2   andn             G,B,Ey       -/BMI1/-         ef
        NP.0F38.F3/1 blsr             B,Ey         -/BMI1/-         ef
        NP.0F38.F3/2 blsmsk           B,Ey         -/BMI1/-         ef
        NP.0F38.F3/3 blsi             B,Ey         -/BMI1/-         ef
        NP.0F38.F5   bzhi             G,Ey,B       -/BMI2/-         ef
        F3.0F38.F5   pext             G,B,Ey       -/BMI2/-
        F2.0F38.F5   pdep             G,B,Ey       -/BMI2/-
        F2.0F38.F6   mulx             G,B,Ey       -/BMI2/-         vw dr
        NP.0F38.F7   bextr            G,Ey,B       -/BMI1/-         ef
        66.0F38.F7   shlx             G,Ey,B       -/BMI2/-
        F3.0F38.F7   sarx             G,Ey,B       -/BMI2/-
        F2.0F38.F7   shrx             G,Ey,B       -/BMI2/-
        F2.0F3A.F0   rorx             G,Ey,I       -/BMI2/-
        """;
}
