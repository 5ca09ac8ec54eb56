using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu;

/// <summary>One VM on the software CPU: its processors, decoded code, and the safe points at which one may change what the others rely on.</summary>
internal sealed unsafe class SoftwarePartition : IPartition
{
    private const int BlockArenaSize = 64 << 20;

    private readonly Lock _exclusive = new();
    private readonly List<SoftwareProcessor> _processors = [];
    private readonly LockstepMonitor? _lockstep;
    private volatile bool _stopping;
    private SoftwareProcessor[] _running = [];

    public SoftwarePartition(
        PartitionSettings settings,
        bool translates = false,
        nuint blockArenaSize = BlockArenaSize,
        int codeSize = CodeCache.DefaultSize,
        TranslatorOptions? options = null)
    {
        Settings = settings;
        _lockstep = options?.Lockstep;
        Memory = settings.Memory;
        Personality = settings.Personality;
        Presence = Personality as IProcessorPresence;
        Features = CpuidTable.GetFeatures(settings.Cpuid) | (Personality is { HasHypercalls: true } ? ProcessorFeatures.Hypercalls : 0);
        Blocks = new BlockCache(this, settings.Memory, blockArenaSize);
        Stubs = new StubCache();
        Code = translates ? new CodeCache(settings.Memory, Features, codeSize, options) : null;
        Memory.AddCodeInvalidator(Blocks);
    }

    public PartitionSettings Settings { get; }

    public GuestMemory Memory { get; }

    public ProcessorFeatures Features { get; }

    /// <summary>The hypervisor that the guest sees; null if there is none.</summary>
    public IPersonality? Personality { get; }

    /// <summary>Who is told when processors execute; null for nobody.</summary>
    public IProcessorPresence? Presence { get; }

    /// <summary>All processors, by number.</summary>
    public ReadOnlySpan<SoftwareProcessor> Processors => _running;

    public BlockCache Blocks { get; }

    public StubCache Stubs { get; }

    /// <summary>Translated code; null when interpreting.</summary>
    public CodeCache? Code { get; }

    /// <inheritdoc/>
    public TranslationCounters Translations => Code == null ? default : new TranslationCounters((ulong)Code.Count, (ulong)Code.GuestBytes);

    /// <inheritdoc/>
    public IVirtualProcessor CreateProcessor(int index)
    {
        if (_lockstep != null && _processors.Count > 0)
        {
            // What one processor takes back must not be seen by another.
            throw new InvalidOperationException("Lockstep is for machines with one processor.");
        }

        SoftwareProcessor processor = new(this, index);
        if (_lockstep != null)
        {
            processor.EnableLockstep(_lockstep);
        }

        _processors.Add(processor);
        _running = [.. _processors];
        return processor;
    }

    /// <inheritdoc/>
    public IHostedInterrupts? HostedInterrupts => null;

    /// <inheritdoc/>
    public void ConnectInterruptController(IVirtualProcessor processor, ILocalInterruptController controller)
    {
        ((SoftwareProcessor)processor).Controller = controller;
    }

    /// <summary>Chooses the handler of a decoded instruction.</summary>
    public void Bind(Instruction* i, int codeSize) => Binder.Bind(i, Features, Stubs, codeSize);

    /// <summary>From now on writes to this page are noticed, on every processor.</summary>
    public void WatchCodePage(ProcessorContext* c, ulong physical)
    {
        EnterExclusive(c);
        Memory.AddPageAttributes(physical, PageAttributes.Code);
        foreach (SoftwareProcessor processor in _running)
        {
            processor.DropWriteTags(physical & ~0xfffUL);
        }

        ExitExclusive(c);
    }

    /// <summary>Empties the block cache.</summary>
    public void ClearBlocks(ProcessorContext* c)
    {
        EnterExclusive(c);
        Blocks.Clear();
        Code?.Clear();
        ExitExclusive(c);
    }

    /// <summary>
    /// Waits until every other processor is between two instructions and stays there. The caller may be in the middle of an instruction of which nothing
    /// has happened yet. Not re-entrant.
    /// </summary>
    /// <returns><c>false</c> if the decoded blocks are not those of before: the instruction must begin again.</returns>
    public bool EnterExclusive(ProcessorContext* c)
    {
        if (_running.Length == 1)
        {
            return true;
        }

        SoftwareProcessor self = SoftwareProcessor.Of(c);
        int epoch = Blocks.Epoch;
        self.InGuest = false;
        _exclusive.Enter();
        _stopping = true;
        Interlocked.MemoryBarrierProcessWide();
        foreach (SoftwareProcessor other in _running)
        {
            if (other != self)
            {
                other.RequestSafePoint();
                SpinWait spin = default;
                while (other.InGuest)
                {
                    spin.SpinOnce(sleep1Threshold: -1);
                }
            }
        }

        return epoch == Blocks.Epoch;
    }

    /// <summary>Lets the others go on.</summary>
    public void ExitExclusive(ProcessorContext* c)
    {
        if (_running.Length == 1)
        {
            return;
        }

        _stopping = false;
        SoftwareProcessor.Of(c).InGuest = true;
        _exclusive.Exit();
    }

    /// <summary>Marks a processor as running guest code, waiting while another has the machine to itself.</summary>
    public void EnterGuest(SoftwareProcessor processor)
    {
        while (true)
        {
            processor.InGuest = true;
            Interlocked.MemoryBarrier();
            if (!_stopping)
            {
                return;
            }

            processor.InGuest = false;
            lock (_exclusive)
            {
                // The exclusive section has ended.
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Memory.RemoveCodeInvalidator(Blocks);
        Blocks.Dispose();
        Code?.Dispose();
        Stubs.Dispose();
    }
}
