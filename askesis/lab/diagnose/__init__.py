"""What a model could learn on a world, by which recipe, before anything is trained."""
