namespace Lamina.Machine.Personalities;

/// <summary>A personality that counts how long its guest's processors wait. On the processor's own thread, which holds no lock; cheap, because processors halt often.</summary>
public interface IProcessorWaits
{
    /// <summary>The processor executes nothing from now on: it has halted, waits for a start-up message, or stands still. Told again when it was woken for nothing.</summary>
    void OnWait(int processor);

    /// <summary>The processor is about to execute guest code for the first time in this machine, or after it has waited. What it was told to do meanwhile, a pause included, belongs to the wait.</summary>
    void OnResume(int processor);
}
