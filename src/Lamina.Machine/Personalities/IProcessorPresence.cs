namespace Lamina.Machine.Personalities;

/// <summary>A personality that shows its guest which processors execute at the moment. On the processor's own thread.</summary>
public interface IProcessorPresence
{
    /// <summary>The processor is about to execute guest code.</summary>
    /// <returns>Whether it is to drop all cached translations first.</returns>
    bool OnEnter(int processor);

    /// <summary>The processor executes no guest code until the next <see cref="OnEnter"/>.</summary>
    void OnLeave(int processor);
}
