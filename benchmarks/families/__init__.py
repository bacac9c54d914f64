"""Translation between domains and variational autoencoders from few examples."""
